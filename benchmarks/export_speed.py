"""Time of an export: the first, a later one, and TensorFlow's converter alone.

Rounds alternate between a process that has not exported before (its worker is
ended first), one that has, and TensorFlow's own converter in this process.
Figures are medians of ratios within a round, so that the machine's speed
cancels out. The files of the first and a later export must be byte-identical.

  python benchmarks/export_speed.py --table=docs/results/export_speed.md
"""

import pathlib
import statistics
import time
import warnings

import numpy as np
import results
from absl import app
from absl import flags

from tfprune import zoo
from tfprune.core import tables
from tfprune.core.files import leftovers
from tfprune.core.processes import worker
from tfprune.export.convert import tflite

FLAGS = flags.FLAGS
flags.DEFINE_list("models", ["resnet20"], "networks of tfprune.zoo")
flags.DEFINE_integer("rounds", 5, "measured rounds")
flags.DEFINE_integer("samples", 16, "for calibration")
flags.DEFINE_string("table", "", "also write the table to this file")


def main(argv):
    del argv
    rows = []
    with leftovers.folder() as folder:
        for name in FLAGS.models:
            for mode in ("float32", "int8"):
                rows.append(measured(name, mode, pathlib.Path(folder)))
    table = tables.Table(
        (
            "network",
            "file",
            "first, s",
            "later, s",
            "TensorFlow, s",
            "later / first",
            "later / TensorFlow",
        ),
        tuple(rows),
        left=2,
    )
    results.publish(
        "# Export: the first one, a later one, TensorFlow's converter "
        "alone\n\n"
        f"Medians of {FLAGS.rounds} alternating rounds with {FLAGS.samples} "
        "calibration samples. Unlike TensorFlow's converter, `export_tflite` "
        "also checks the file. The first and later files are "
        "byte-identical.\n\n"
        f"{table.to_markdown()}\n"
        f"{results.footer('export_speed.py')}\n",
        FLAGS.table,
    )


def measured(name, mode, folder):
    """A row of the table."""
    model = zoo.build(name, classes=10, input_shape=(32, 32, 3))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(FLAGS.samples, 32, 32, 3)).astype("float32")
    calibration = x if mode == "int8" else None
    ways = {
        "first": lambda: first(model, folder, mode, calibration),
        "later": lambda: ours(model, folder / "later", mode, calibration),
        "plain": lambda: plain(model, calibration),
    }
    rounds = []
    for _ in range(FLAGS.rounds + 1):
        rounds.append({way: _seconds(call) for way, call in ways.items()})
        one, other = (folder / n for n in ("first", "later"))
        if one.read_bytes() != other.read_bytes():
            raise ValueError(f"{name}, {mode}: a later file differs.")
    # The first round includes TensorFlow's imports and tracing.
    rounds = rounds[1:]
    medians = [statistics.median(r[way] for r in rounds) for way in ways]
    ratios = [
        statistics.median(r["later"] / r[way] for r in rounds)
        for way in ("first", "plain")
    ]
    return (
        name,
        mode,
        *(f"{seconds:.2f}" for seconds in medians),
        *(f"{ratio:.2f}" for ratio in ratios),
    )


def first(model, folder, mode, calibration):
    """An export in a process that has not exported before."""
    worker.workers.stop()
    ours(model, folder / "first", mode, calibration)


def ours(model, path, mode, calibration):
    tflite.export_tflite(model, path, mode, calibration)


def plain(model, calibration):
    """TensorFlow's converter; with the model, int8 fails on variables."""
    import tensorflow as tf

    function = tf.function(
        lambda x: model(x, training=False), autograph=False
    ).get_concrete_function(tf.TensorSpec((1, *model.input_shape[1:])))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        ]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        converter.representative_dataset = lambda: (
            [row[None]] for row in calibration
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converter.convert()


def _seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    app.run(main)
