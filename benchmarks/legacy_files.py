"""Opens old Keras files and compares their outputs with those of Keras 2.

Each file has a `.npz` file of the same name next to it, with inputs x0, x1, ...
and the outputs y0, y1, ... of tf_keras in inference.

  python benchmarks/legacy_files.py --dir=files \\
      --table=docs/results/legacy_files.md

The verdict on a file is equal, other (it opens with other outputs) or refused.
"""

import collections
import json
import pathlib
import warnings
import zipfile

import h5py
import numpy as np
import results
from absl import app
from absl import flags

import tfprune
from tfprune.core import tables

FLAGS = flags.FLAGS
flags.DEFINE_string("dir", None, "folder with the files and their references")
flags.DEFINE_float("tolerance", 1e-5, "relative to the largest output")
flags.DEFINE_bool("allow_lambda", False, "whether code in the files may run")
flags.DEFINE_string("table", "", "also write a table by class to this file")
flags.mark_flag_as_required("dir")

ENDINGS = (".h5", ".hdf5", ".keras")
HEADER = ("layer", "Keras", "files", "opened", "equal", "refused", "why")


def main(_):
    paths = sorted(
        path
        for path in pathlib.Path(FLAGS.dir).expanduser().iterdir()
        if (path.suffix in ENDINGS or path.is_dir())
        and path.with_suffix(".npz").exists()
    )
    found = []
    for path in paths:
        facts = measure(path)
        found.append(facts)
        reason = facts["reason"].partition("\n")[0][:200]
        print(f"{path.name}: {facts['verdict']} {reason}", flush=True)
    write(found)


def measure(path):
    """The verdict and other facts of one file, a `dict`."""
    facts = {"reason": "", "difference": 0.0, **contents(path)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = tfprune.load_model(path, allow_lambda=FLAGS.allow_lambda)
        facts["difference"] = difference(model, path.with_suffix(".npz"))
    except Exception as error:  # Every error belongs into the table.
        return facts | {
            "verdict": "refused",
            "reason": f"{type(error).__name__}: {error}",
        }
    equal = facts["difference"] <= FLAGS.tolerance
    if not equal:
        facts["reason"] = f"difference {facts['difference']:.2g}"
    return facts | {"verdict": "equal" if equal else "other"}


def contents(path):
    """The Keras version and the layer classes that a file names."""
    if path.is_dir() or not h5py.is_hdf5(path):
        return {"version": "2", "classes": _archived(path)}
    with h5py.File(path, "r") as file:
        version = file.attrs.get("keras_version", "1")
        config = json.loads(file.attrs["model_config"])
    version = version.decode() if isinstance(version, bytes) else version
    classes = set(classes_of(config)) - {"Functional", "Model", "Sequential"}
    return {"version": version, "classes": sorted(classes)}


def _archived(path):
    if path.is_dir():
        return ["SavedModel"]
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    return sorted(set(classes_of(config)))


def classes_of(entry):
    """Yields the classes of the layers in a config."""
    if isinstance(entry, list):
        for inner in entry:
            yield from classes_of(inner)
    elif isinstance(entry, dict):
        config = entry.get("config")
        if "class_name" in entry and isinstance(config, (dict, list)):
            yield entry["class_name"]
            entry = config if isinstance(config, dict) else {"layers": config}
        for key in ("layers", "layer", "backward_layer", "cell", "cells"):
            yield from classes_of(entry.get(key))


def difference(model, path):
    """The largest difference relative to the largest value of an output."""
    with np.load(path) as arrays:
        arrays = dict(arrays)
    x = [arrays[f"x{i}"] for i in range(len(model.inputs))]
    wanted = [arrays[k] for k in sorted(arrays) if k.startswith("y")]
    got = model(x[0] if len(x) == 1 else x, training=False)
    got = list(got) if isinstance(got, (list, tuple)) else [got]
    if len(got) != len(wanted):
        return float("inf")
    return max(map(_difference, got, wanted))


def _difference(got, wanted):
    got = np.asarray(got)
    if got.shape != wanted.shape:
        return float("inf")
    if not wanted.size:
        return 0.0
    same = (got == wanted) | (np.isnan(got) & np.isnan(wanted))
    gap = np.where(same, 0, np.abs(got - wanted))
    scale = np.abs(np.where(np.isfinite(wanted), wanted, 0)).max()
    return float(np.nan_to_num(gap, nan=np.inf).max() / max(scale, 1e-30))


def write(found):
    rows = collections.defaultdict(list)
    for facts in found:
        for name in facts["classes"]:
            rows[name, facts["version"]].append(facts)
    cells = [row(*key, rows[key]) for key in sorted(rows)]
    table = tables.Table(HEADER, tuple(cells), left=2)
    counts = collections.Counter(facts["verdict"] for facts in found)
    text = (
        "# Files of Keras 1 and 2\n\n"
        f"Of {len(found)} files, {len(found) - counts['refused']} open and "
        f"{counts['equal']} give the outputs of tf_keras, to "
        f"{FLAGS.tolerance:g} of the largest; {counts['other']} have other "
        f"outputs, {counts['refused']} are refused. A file counts in the row "
        "of each class that its layers have.\n\n"
        f"{table.to_markdown()}\n"
        f"{results.footer('legacy_files.py')}\n"
    )
    results.publish(text, FLAGS.table)


def row(name, version, found):
    verdicts = collections.Counter(facts["verdict"] for facts in found)
    reasons = dict.fromkeys(facts["reason"] for facts in found)
    why = "; ".join(_short(reason) for reason in reasons if reason)
    return (
        name,
        version,
        f"{len(found)}",
        f"{len(found) - verdicts['refused']}",
        f"{verdicts['equal']}",
        f"{verdicts['refused']}",
        why.replace("|", "/"),
    )


def _short(reason):
    """The first sentences of a message, on one line."""
    text = " ".join(reason.split())
    return text if len(text) <= 200 else f"{text[:200]} ..."


if __name__ == "__main__":
    app.run(main)
