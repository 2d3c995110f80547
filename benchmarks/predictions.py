"""What is predicted of an int8 file before there is one, and the file.

Layers and networks with random weights: the ops that their rules tell, and the
flash and the arena that `tfprune.cost` predicts, beside those of the exported
file.

python benchmarks/predictions.py --table=docs/results/predictions.md
"""

import collections
import pathlib
import tempfile

import keras
import layer_rows
import numpy as np
import results
from absl import app
from absl import flags

import tfprune
from tfprune.core import tables
from tfprune.costs import file_ops
from tfprune.export.convert import tflite
from tfprune.export.micro import firmware_folder

FLAGS = flags.FLAGS
flags.DEFINE_list("only", [], "names of rows; empty means all")
flags.DEFINE_string("table", "", "also write a table to this file")

NETWORKS = ("resnet8", "ds_cnn", "autoencoder", "mobilenet_v1_025", "resnet20")
_SAMPLES = 50


def named(name):
    """The model of a row, and inputs for it."""
    if name not in NETWORKS:
        return layer_rows.of(name, _SAMPLES)
    keras.utils.set_random_seed(0)
    model = tfprune.zoo.build(name)
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(_SAMPLES, *model.input_shape[1:]))


def moved(model):
    """Moves all weights a little: what is 0 or 1 would be left out."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if keras.backend.is_float_dtype(weight.dtype):
            weight.assign_add(rng.uniform(0.01, 0.05, weight.shape))


def row(name, folder):
    """The cells of a row; `None` if the file is refused."""
    model, x = named(name)
    moved(model)
    path = pathlib.Path(folder, "model.tflite")
    try:
        file = tflite.export_tflite(model, path, "int8", x)
    except (RuntimeError, ValueError):
        return None
    told = collections.Counter()
    for op in file_ops.of(tfprune.channel_graph(model)).ops:
        told[op.kind] += op.times
    found = collections.Counter(file.ops)
    others = ((told - found) + (found - told)).total()
    cost = tfprune.cost(model)
    flash = firmware_folder.array_bytes(path)
    arena = firmware_folder.arena_bytes(path)
    return name, others, (cost.flash_bytes, flash), (cost.ram_bytes, arena)


def shown(pair):
    predicted, found = pair
    return f"{predicted:,}", f"{found:,}", f"{predicted / found - 1:+.1%}"


def summary(rows):
    """A sentence on all rows."""
    equal = sum(others == 0 for _, others, *_ in rows)
    parts = []
    for what, place in (("flash", 2), ("arena", 3)):
        shares = np.array([r[place][0] / r[place][1] - 1 for r in rows])
        parts.append(
            f"of {what}, {np.mean(np.abs(shares) <= 0.1):.0%} are within 10 % "
            f"and {np.mean(shares >= -0.02):.0%} at most 2 % too low"
        )
    return (
        f"Of {len(rows)} files, {equal} have exactly the predicted ops; "
        f"{' and '.join(parts)}."
    )


def main(_):
    names = FLAGS.only or [*NETWORKS, *layer_rows.ROWS]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            found = row(name, folder)
            print(found, flush=True)
            if found:
                rows.append(found)
    header = (
        *("", "other ops", "flash, predicted", "of the file", ""),
        *("arena, predicted", "of the file", ""),
    )
    cells = [(r[0], str(r[1]), *shown(r[2]), *shown(r[3])) for r in rows]
    text = (
        "# Predictions of int8 files\n\n"
        "What `tfprune.cost` says of a model before there is a file, which "
        "budgets are held against, beside the exported file: bytes of the "
        "array in flash, and of the arena in which it starts with the "
        "reference kernels and CMSIS-NN on any Cortex-M. Networks, and single "
        "layers, ops and blocks, which are so small that some bytes are "
        "percents; random weights, seed 0. Other ops: how many are predicted "
        f"that the file has not, or the other way round. {summary(rows)}\n\n"
        f"{tables.Table(header, cells, left=1).to_markdown()}\n"
        f"{results.footer('predictions.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
