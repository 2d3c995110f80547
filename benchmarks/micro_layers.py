"""Layers and ops on TFLite Micro: which run, by which ops, how exactly.

python benchmarks/micro_layers.py --table=docs/results/micro_layers.md
"""

import pathlib
import tempfile

import layer_rows
import numpy as np
import results
from absl import app
from absl import flags

from tfprune.core import tables
from tfprune.export.convert import tflite
from tfprune.export.run import interpreter

FLAGS = flags.FLAGS
flags.DEFINE_list("only", [], "names of rows; empty means all")
flags.DEFINE_string("table", "", "also write a table to this file")

MODES = "int8", "int16x8"
_SAMPLES = 100


def row(name, folder):
    """The cells of a row."""
    model, x = layer_rows.of(name, _SAMPLES)
    path = pathlib.Path(folder, "model.tflite")
    cells = [name]
    for mode in MODES:
        try:
            file = tflite.export_tflite(model, path, mode, x)
        except (RuntimeError, ValueError) as error:
            reason = str(error).partition("Received: ")[2].partition(". ")[0]
            cells += [reason, "", "refused"]
            continue
        found = interpreter.run(path, x[:20], "micro")
        wanted = np.asarray(model(x[:20])).astype("float32")
        spread = wanted.std() or 1.0
        error = np.abs(found - wanted).max() / spread
        kinds = ", ".join(file.ops)
        cells += [kinds, f"{file.file_bytes:,}", f"{error:.1%}"]
    return tuple(cells)


def main(_):
    names = FLAGS.only or list(layer_rows.ROWS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            rows.append(row(name, folder))
            print(*rows[-1], flush=True)
    header = (
        "layer",
        *(cell for mode in MODES for cell in (mode, "bytes", "largest error")),
    )
    int8, int16 = (
        sum(cells[place] != "refused" for cells in rows) for place in (3, 6)
    )
    text = (
        "# Layers on TFLite Micro\n\n"
        "Models of a single layer, op or block with random weights, exported "
        f"and run on TFLite Micro: {int8} of {len(rows)} run in int8, {int16} "
        "in int16x8; their ops, or why not. The error is the largest one "
        "relative to the standard deviation of the outputs, on 20 of the 100 "
        "random inputs used for calibration.\n\n"
        f"{tables.Table(header, tuple(rows), left=2).to_markdown()}\n"
        f"{results.footer('micro_layers.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
