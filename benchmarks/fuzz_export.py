"""Exports pruned random graphs to int8 and runs them on TFLite Micro.

The graphs are those of `benchmarks/fuzz.py`, stripped of their zeros. A graph
with an op that has no int8 kernel in TFLite or TFLite Micro must be refused by
the name of the op; every other graph must run and agree with TFLite's reference
kernels.

  python benchmarks/fuzz_export.py --graphs=100 --table=fuzz_export.md
"""

import collections
import pathlib
import re
import sys
import tempfile

import keras
import numpy as np
import results
from absl import app
from absl import flags

# The generator is in the tests, which are not installed.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfprune.core import tables
from tfprune.export.convert import tflite
from tfprune.export.micro import kernels
from tfprune.export.run import interpreter
from tfprune.surgery import stripping
from tfprune.surgery import verification
from tfprune_test import random_models

FLAGS = flags.FLAGS
flags.DEFINE_integer("graphs", 100, "graphs that run", lower_bound=1)
flags.DEFINE_integer("seed", 0, "seed of the first graph")
flags.DEFINE_integer("size", 4, "most blocks in a graph", lower_bound=1)
flags.DEFINE_integer("steps", 16, "tolerance of the outputs in int8 steps")
flags.DEFINE_string("table", "", "also write a table to this file")

REFUSED = (
    r"built-in TFLite kernel\. Received: a model with ([\w., ]+)",
    r"kernel in TFLite Micro\. Received: a model with ([\w, ]+)",
)


def main(_):
    counts, reasons = collections.Counter(), collections.Counter()
    most, seed = 0, FLAGS.seed
    while counts["run"] < FLAGS.graphs:
        keras.utils.clear_session()
        found = attempt(seed)
        if isinstance(found, str):
            reasons[found] += 1
            counts["refused"] += 1
        else:
            counts["run"] += 1
            counts["outputs"] += found[0]
            counts["differ"] += found[1]
            most = max(most, found[2])
        print(f"{seed}: {found}", flush=True)
        seed += 1
    write(counts, reasons, most, seed)


def attempt(seed):
    """`(outputs, differing outputs, most steps)`, or the refused op."""
    keras.utils.set_random_seed(seed)
    chooser = random_models.Seeded(seed)
    _, masked, _ = random_models.sparse_model(chooser, FLAGS.size)
    small = stripping.strip(masked, verify=False)
    x = verification.random_inputs(small, seed, batch=32)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "graph.tflite")
        shapes = [value.shape[1:] for value in keras.tree.flatten(x)]
        try:
            file = tflite.export_tflite(
                small, path, "int8", x, input_shapes=shapes
            )
            kernels.resolver_methods(file.ops)
        except (RuntimeError, ValueError) as error:
            return reason(error)
        columns = keras.tree.flatten(x)
        wanted, got = (
            interpreter.run(path, columns, runtime)
            for runtime in ("reference", "micro")
        )
    if len(file.outputs) == 1:
        wanted, got = [wanted], [got]
    total = differ = most = 0
    for tensor, a, b in zip(file.outputs, wanted, got, strict=True):
        off = np.abs(a.astype(float) - b) / (tensor.scale or 1.0)
        total += off.size
        differ += int((off > 0.5).sum())
        most = max(most, round(off.max()))
    if most > FLAGS.steps:
        raise SystemExit(f"seed {seed}: outputs differ by {most} steps")
    return total, differ, most


def reason(error):
    """The op that an error refuses; `None` for other errors."""
    for pattern in REFUSED:
        found = re.search(pattern, str(error))
        if found:
            return re.sub(r" \(at .*?\)", "", found.group(1)).strip()
    raise error


def write(counts, reasons, most, last):
    header = ("graphs that run", "outputs", "differ", "most, steps", "refused")
    cells = (
        f"{counts['run']}",
        f"{counts['outputs']:,}",
        f"{counts['differ']:,}",
        f"{most}",
        f"{counts['refused']}",
    )
    why = ", ".join(f"{k} ({n})" for k, n in reasons.most_common())
    text = (
        "# Random graphs on TFLite Micro\n\n"
        "Random graphs with random zeros, stripped, exported to int8 and run "
        "on the interpreter of TFLite Micro, 32 inputs each. Outputs are "
        "compared with those of TFLite's reference kernels, in int8 steps. "
        f"Seeds {FLAGS.seed} to {last - 1}. Refused at export, naming the op "
        f"without an int8 kernel: {why or 'none'}.\n\n"
        f"{tables.Table(header, (cells,), left=0).to_markdown()}\n"
        f"{results.footer('fuzz_export.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
