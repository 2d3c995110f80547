"""What all scripts share: flags, and rows that are measured once.

A row is what one method did at one budget with one seed. It lies in `--out` as
a file of its own, so that a script that was stopped goes on with `--resume`;
several processes with different `--seed` can share the folder. At the end
`metrics.json` beside the rows has all of them, and what they depend on.
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
from tfprune.core import atomic  # noqa: E402
from tfprune.reports import environment  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "model",
    "resnet20",
    "a network of tfprune.zoo; with --weights the name of a published one; or "
    "a .keras file",
)
flags.DEFINE_string("dataset", "minicifar", "data set of tfprune.datasets")
flags.DEFINE_list("method", [], "methods, one row of the table for each")
flags.DEFINE_list("macs", ["0.5"], "shares of the multiply-adds that remain")
flags.DEFINE_integer("epochs", 6, "of training after, or while, pruning")
flags.DEFINE_list("seed", ["0"], "everything once for each")
flags.DEFINE_string("data_dir", None, "where the data set lies")
flags.DEFINE_string("out", "build/run", "folder of the results")
flags.DEFINE_string("backend", "", "of Keras; by default as KERAS_BACKEND says")
flags.DEFINE_bool("resume", False, "go on with what is in --out")
flags.DEFINE_string("table", "", "also write the final table to this file")
flags.DEFINE_string("note", "", "below the table: a published figure, say")
flags.DEFINE_bool("smoke", False, "less than a minute, to see that it runs")

_LONG = ("settings", "environment", "search")
_started = time.time()


def defaults(**values):
    """Gives flags the defaults of a script, before they are parsed."""
    for name, value in values.items():
        FLAGS.set_default(name, value)


def recipe(values):
    """Gives flags these values, but those that the command line has."""
    for name, value in values.items():
        if not FLAGS[name].present:
            setattr(FLAGS, name, value)


def smoke(**values):
    """Gives flags these values if this is a smoke run."""
    if FLAGS.smoke:
        for name, value in values.items():
            setattr(FLAGS, name, value)


def known(methods, names):
    """Checks `--method` before anything is trained.

    Raises:
        app.UsageError: If one of them is unknown.
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
    """Measures what has no row yet.

    Args:
        todo: pairs of a file name and a tuple, the arguments of a row.
        start: function from a seed to what the rows of the seed share; it is
            called if one of them is missing.
        run: function of that and of the arguments of a row that gives a
            `dict`. It may fail; rows before it are kept.
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
                row |= {"environment": environment.environment()}
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
    """Where a result lies in `--out`."""
    return pathlib.Path(FLAGS.out).expanduser() / name


def folder():
    """`--out`, made; it may hold results only if `--resume` says so."""
    out = path()
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()) and not FLAGS.resume:
        raise app.UsageError(
            f"{out} holds results. Go on with --resume, or choose another "
            "--out."
        )
    return out


def write_metrics(rows):
    """Writes `metrics.json` into `--out`."""
    used = FLAGS.get_key_flags_for_module(sys.argv[0])
    metrics = {
        "flags": {flag.name: flag.value for flag in used},
        "seed": FLAGS.seed,
        "environment": environment.environment(),
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
