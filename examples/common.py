"""Flags and resumable measurements shared by all scripts.

A row is the result of one method at one budget with one seed. Each row is a
separate file in `--out`, so that a stopped script can continue with `--resume`;
several processes with different `--seed` can share the folder. At the end,
`metrics.json` has all rows and the settings they depend on.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

# Keras reads it once, when it is imported.
_parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
_parser.add_argument("--backend")
_backend = _parser.parse_known_args()[0].backend
if _backend:
    os.environ["KERAS_BACKEND"] = _backend

import keras  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402

import tfprune  # noqa: E402
from tfprune.core.files import atomic  # noqa: E402
from tfprune.reports.html import provenance  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "model",
    "resnet20",
    "a network of tfprune.zoo; with --weights, the name of a published one; "
    "or a .keras file",
)
flags.DEFINE_string("dataset", "minicifar", "data set of tfprune.datasets")
flags.DEFINE_list("method", [], "methods, one row of the table for each")
flags.DEFINE_list("macs", ["0.5"], "fractions of the multiply-adds to keep")
flags.DEFINE_integer("epochs", 6, "epochs of training after or during pruning")
flags.DEFINE_list("seed", ["0"], "seeds; each repeats everything")
flags.DEFINE_string("data_dir", None, "folder of the data set")
flags.DEFINE_string("out", "build/run", "folder of the results")
flags.DEFINE_string("backend", "", "Keras backend; by default KERAS_BACKEND")
flags.DEFINE_bool("resume", False, "continue with the results in --out")
flags.DEFINE_string("table", "", "also write the final table to this file")
flags.DEFINE_string("note", "", "note below the table, e.g. a published figure")
flags.DEFINE_bool("smoke", False, "a quick test run of less than a minute")

_LONG = ("settings", "environment", "search")
_started = time.time()


def defaults(**values):
    """Sets a script's default values of flags, before they are parsed."""
    for name, value in values.items():
        FLAGS.set_default(name, value)


def recipe(values):
    """Sets flags, except those given on the command line."""
    for name, value in values.items():
        if not FLAGS[name].present:
            setattr(FLAGS, name, value)


def smoke(**values):
    """Sets flags if this is a smoke run."""
    if FLAGS.smoke:
        for name, value in values.items():
            setattr(FLAGS, name, value)


def known(methods, names):
    """Checks `--method` before anything is trained.

    Raises:
        app.UsageError: If a method is unknown.
    """
    unknown = sorted(set(methods) - set(names))
    if unknown:
        raise app.UsageError(
            f"--method takes {', '.join(names)}. Received: "
            f"{', '.join(unknown)}."
        )


def grid(methods, shares):
    """Pairs of a file name and `(method, share)`, share after share."""
    return [(f"{m}-{s}", (m, float(s))) for s in shares for m in methods]


def rows(todo, start, run, settings):
    """Measures the missing rows.

    Args:
        todo: pairs of a file name and a tuple, the arguments of a row.
        start: function from a seed to a value shared by the seed's rows;
            called if one of them is missing.
        run: function from that value and the arguments of a row to a `dict`.
            It may fail; earlier rows are kept.
        settings: names of the flags that a row depends on.

    Yields:
        Each row, in the order of seeds and of `todo`, with its settings, the
        seconds it took and what it ran on.

    Raises:
        app.UsageError: If there are rows and no `--resume`, or a row that was
            found has other settings.
    """
    out = folder()
    settings = {name: FLAGS[name].value for name in settings}
    for seed in map(int, FLAGS.seed):
        shared = None
        for name, arguments in todo:
            file = out / f"{name}-seed{seed}.json"
            if not file.exists():
                shared = start(seed) if shared is None else shared
                keras.utils.set_random_seed(seed)
                begin = time.process_time()
                row = {"seed": seed, **run(shared, *arguments)}
                row["cpu_seconds"] = time.process_time() - begin
                row |= {"settings": settings}
                row |= {"environment": provenance.environment()}
                atomic.write({file: json.dumps(row, indent=2).encode()})
            row = json.loads(file.read_text())
            if row["settings"] != settings:
                raise app.UsageError(
                    f"{file} was made with {row['settings']}. Choose another "
                    "--out, or the same flags."
                )
            short = {k: v for k, v in row.items() if k not in _LONG}
            print(json.dumps(short), flush=True)
            yield row


def path(name=""):
    """Returns the path of a result in `--out`."""
    return pathlib.Path(FLAGS.out).expanduser() / name


def folder():
    """Creates `--out`; it may only hold results with `--resume`."""
    out = path()
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()) and not FLAGS.resume:
        raise app.UsageError(
            f"{out} holds results. Continue with --resume, or choose another "
            "--out."
        )
    return out


def write_metrics(rows):
    """Writes `metrics.json` into `--out`."""
    used = FLAGS.get_key_flags_for_module(sys.argv[0])
    metrics = {
        "flags": {flag.name: flag.value for flag in used},
        "seed": FLAGS.seed,
        "environment": provenance.environment(),
        "revision": revision(),
        "seconds": time.time() - _started,
        "rows": rows,
    }
    text = json.dumps(metrics, indent=2) + "\n"
    atomic.write({path("metrics.json"): text.encode()})


def revision():
    """The git revision of the library; `None` if it is not in a repository."""
    place = pathlib.Path(tfprune.__file__).parent
    command = "git describe --always --dirty --abbrev=40 --exclude=*".split()
    try:
        found = subprocess.run(
            command, cwd=place, capture_output=True, text=True, check=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
