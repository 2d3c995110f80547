"""The cost of one more channel: Vela's cycles and TFLite's time.

Exports chains of convolutions with more and more channels to int8. The cost
grows in steps, because kernels compute several channels at a time;
`tfprune.prune(target=)` keeps multiples of that number.

  python benchmarks/channel_multiples.py --table=channel_multiples.md
"""

import pathlib
import tempfile

import keras
import numpy as np
import results
from absl import app
from absl import flags

from tfprune.core import tables
from tfprune.export.convert import tflite
from tfprune.export.micro import npu
from tfprune.export.run import litert
from tfprune.selection import rounding

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "channels",
    [str(n) for n in (*range(4, 36, 2), 40, 44, 48, 52, 56, 60, 64)],
    "channels between the convolutions",
)
flags.DEFINE_list("accelerators", ["ethos-u55-128", "ethos-u85-256"], "Vela's")
flags.DEFINE_integer("runs", 300, "inferences, of which the fastest counts")
flags.DEFINE_string("table", "", "also write the table to this file")

LAYERS = keras.layers


def chain(channels):
    x = inputs = keras.Input((16, 16, 32))
    for width in (channels, channels, 32):
        x = LAYERS.Conv2D(width, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, x)


def main(_):
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(20, 16, 16, 32))
    x = x.astype("float32")
    counts = [int(n) for n in FLAGS.channels]
    cycles = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder, f"{n}.tflite") for n in counts]
        for count, path in zip(counts, paths, strict=True):
            tflite.export_tflite(chain(count), path, "int8", x)
            reports = [npu.compile_for_npu(path, a) for a in FLAGS.accelerators]
            cycles.append([found.cycles for found in reports])
        seconds = litert.times(paths, FLAGS.runs).min(0)
    macs = [256 * 9 * n * (32 + n + 32) for n in counts]
    rows = tuple(
        (
            f"{count}",
            f"{macs[i]:,}",
            *(f"{n:,}" for n in cycles[i]),
            *(f"{macs[i] / n:.1f}" for n in cycles[i]),
            f"{1e6 * seconds[i]:.1f}",
            f"{macs[i] / seconds[i] / 1e9:.1f}",
        )
        for i, count in enumerate(counts)
    )
    write(rows)


def write(rows):
    header = (
        "channels",
        "multiply-adds",
        *(f"{name}: cycles" for name in FLAGS.accelerators),
        *(f"{name}: per cycle" for name in FLAGS.accelerators),
        "XNNPACK: µs",
        "XNNPACK: G per s",
    )
    presets = ", ".join(f"{k} {n}" for k, n in rounding.TARGETS.items())
    text = (
        "# Channels at a time\n\n"
        "Three 3x3 convolutions on 16x16 images in int8, with 32 channels at "
        "both ends and the given number in between. Cycles estimated by Vela, "
        "and TFLite's time on one thread (minimum of many runs; files take "
        "turns). Between two steps, channels are free, so only pruning to the "
        f"next lower step saves time. `target=` means: {presets}.\n\n"
        f"{tables.Table(header, rows, left=0).to_markdown()}\n"
        f"{results.footer('channel_multiples.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
