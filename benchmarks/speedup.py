"""The speedup from half of the multiply-adds, network by network.

Prunes networks of the zoo, exports them to int8 and compares the time of the
files on TFLite and TFLite Micro with that of the dense ones.

  python benchmarks/speedup.py --table=docs/results/speedup.md

Weights are random, as they do not affect the time. Channels are pruned in
multiples, because kernels compute several at a time.
"""

import pathlib
import tempfile

import keras
import numpy as np
import results
from absl import app
from absl import flags

import tfprune
from tfprune import zoo
from tfprune.core import tables
from tfprune.export.convert import tflite
from tfprune.export.micro.arena import measured_arena
from tfprune.export.run import litert

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "networks",
    [
        *("vgg16", "resnet18", "resnet50", "densenet_bc100", "mobilenet_v2"),
        *("resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder"),
    ],
    "names in the zoo",
)
flags.DEFINE_float("macs", 0.5, "share of the multiply-adds to keep")
flags.DEFINE_list("multiples", ["1", "4", "8"], "channels of each group")
flags.DEFINE_integer("runs", 200, "inferences on TFLite; the fastest counts")
flags.DEFINE_integer("micro_runs", 5, "the same on TFLite Micro")
flags.DEFINE_string("table", "", "also write the table to this file")

HEADER = (
    "network",
    "channels in multiples of",
    "multiply-adds, times fewer",
    "TFLite, ms",
    "TFLite, times faster",
    "of the ideal",
    "TFLite Micro, times faster",
    "of the ideal",
)


def main(_):
    rows = []
    for name in FLAGS.networks:
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        rows += measure(name)
        print(rows[-1], flush=True)
    write(tuple(rows))


def measure(name):
    """The rows of a network."""
    model = zoo.build(name)
    shape = model.inputs[0].shape[1:]
    x = np.random.default_rng(0).normal(size=(32, *shape)).astype("float32")
    model = tfprune.recalibrate(model, x)
    models = {"dense": model}
    for multiple in FLAGS.multiples:
        models[multiple] = tfprune.prune(
            model,
            tfprune.Budget(macs=FLAGS.macs),
            channel_multiple=int(multiple),
        )
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder, f"{key}.tflite") for key in models]
        for path, found in zip(paths, models.values(), strict=True):
            tflite.export_tflite(found, path, "int8", x)
        on_tflite = litert.times(paths, FLAGS.runs).min(0)
        on_micro = measured_arena.seconds(paths, FLAGS.micro_runs)
    macs = [tfprune.cost(found).macs for found in models.values()]
    return [
        (
            name,
            key,
            f"{macs[0] / macs[i]:.2f}",
            f"{1e3 * on_tflite[i]:.3g}",
            *faster(on_tflite, macs, i),
            *faster(on_micro, macs, i),
        )
        for i, key in enumerate(models)
    ]


def faster(seconds, macs, i):
    """The speedup over the dense file, and relative to the ideal one."""
    ratio = seconds[0] / seconds[i]
    return f"{ratio:.2f}", f"{ratio * macs[i] / macs[0]:.0%}"


def write(rows):
    text = (
        "# Time for multiply-adds\n\n"
        f"Networks with {FLAGS.macs:.0%} of their multiply-adds, as int8 "
        "files; random weights, seed 0. Ideal: the speedup equals the "
        "reduction of multiply-adds. TFLite: XNNPACK, one thread; TFLite "
        "Micro: its reference kernels on this machine; both are the minimum "
        "of several runs in which the files take turns. The multiply-adds of "
        "a convolution decrease with both its input and its output channels, "
        "those of depthwise and first layers and the size of feature maps "
        "with only one of them, and the overhead of an op with neither, so "
        "the smallest networks gain the least.\n\n"
        f"{tables.Table(HEADER, rows, left=1).to_markdown()}\n"
        f"{results.footer('speedup.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
