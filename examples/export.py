"""Exports a network and measures the files: bytes, arena, accuracy.

`--method` lists formats: `float32`, `float16`, `dynamic` and `int4` run on the
TFLite interpreter, `int8` and `int16x8` on that of TFLite Micro, for which C
sources are written, too. A `--model` that is not a `.keras` file is trained
first. With a fraction below 1 in `--macs`, the network is first pruned
(`--criterion`) and fine-tuned.

  python examples/export.py --smoke
  python examples/export.py --model=build/prune/l1-0.5-seed0.keras --macs=1 \\
      --dataset=cifar10 --data_dir=~/tensorflow_datasets

Exported files are in `--out`. Test images are never used for choices.
"""

import common
import numpy as np
import study
import summary
from absl import app
from absl import flags

import tfprune
from tfprune.core import tables
from tfprune.export.run import interpreter

MICRO = ("int8", "int16x8")
# Formats, and the bits of their weights and activations.
METHODS = {
    "float32": (32, 32),
    "float16": (16, 32),
    "dynamic": (8, 32),
    "int8": (8, 8),
    "int16x8": (8, 16),
    "int4": (4, 8),
}

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(study)
common.defaults(out="build/export", method=list(METHODS))
flags.DEFINE_string("criterion", "l1", "criterion for pruning")
flags.DEFINE_integer("calibration", 256, "training images for calibration")
SETTINGS = (*study.TRAINING, "criterion", "calibration")


def main(argv):
    del argv
    common.smoke(dataset="digits", model="resnet8", dense_epochs=1, epochs=1)
    common.smoke(test=64, method=["float16", "int8"])
    common.known(FLAGS.method, METHODS)
    todo = common.grid(FLAGS.method, FLAGS.macs)
    rows = list(study.rows(todo, run, SETTINGS))
    text = (
        "Accuracy of the exported file on the test images, mean (least to "
        "most) over the seeds: int8 and int16x8 on the interpreter of TFLite "
        "Micro, the others on that of TFLite; `float`: of the Keras model."
    )
    summary.finish(rows, f"{FLAGS.model}, exported", text, EXTRA)


def run(own, method, share):
    """Prunes if asked to, exports, and measures the file."""
    small = pruned(own, share)
    name = f"{method}-{share:g}-seed{own.seed}"
    path = common.path(name + ".tflite")
    x, _ = own.training(0, FLAGS.calibration)
    ranges = x if method.startswith("int") else None
    file = tfprune.export_tflite(small, path, method, ranges)
    runtime, arena = "tflite", None
    if method in MICRO:
        runtime = "micro"
        sources = tfprune.export_micro(path, common.path(name))
        arena = sources.arena.required_bytes
    x, y = own.test
    scores = interpreter.run(path, x, runtime)
    return {
        "method": method,
        "budget": share,
        "accuracy": float(np.mean(scores.argmax(-1) == y)),
        "float": own.tested(small),
        "file_bytes": file.file_bytes,
        "arena_bytes": arena,
        **summary.measured(small, own.model, *METHODS[method]),
    }


def pruned(own, share):
    """Returns the network at a share, the same one for all formats."""
    if share == 1:
        return own.model
    path = common.path(f"pruned-{share:g}-seed{own.seed}.keras")
    if not path.exists():
        budget = tfprune.Budget(macs=share)
        small = tfprune.prune(own.model, budget, FLAGS.criterion, own.selection)
        own.train(small, FLAGS.epochs, FLAGS.learning_rate)
        study.save(small, path)
    return study.load(path)


EXTRA = (
    ("float", lambda rows: f"{summary.mean(rows, 'float'):.2%}"),
    ("bytes", lambda rows: tables.number(max(r["file_bytes"] for r in rows))),
    ("arena", lambda rows: tables.cell(rows[0]["arena_bytes"])),
)


if __name__ == "__main__":
    app.run(main)
