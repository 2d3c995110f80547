"""ESP-NN's kernels on a simulated ESP32-S3, against TFLite's interpreter.

Networks of many parallel layers, of shapes that differ in what the kernels
tell apart, are exported as they are and for ESP-NN. Each op that it has a
kernel for runs on the values that the interpreter has there.

  python benchmarks/esp_nn.py --esp_nn=../esp-nn \\
      --table=docs/results/esp_nn.md
"""

import collections
import pathlib
import random
import sys

import keras
import numpy as np
import results
from absl import app
from absl import flags

# The tools are not installed.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfprune.core import tables
from tfprune.export.convert import tflite
from tfprune.export.edit.replaced import esp_kernels
from tfprune.export.micro.arena import flat_ops
from tools import esp_nn

FLAGS = flags.FLAGS
flags.DEFINE_string("esp_nn", None, "sources of ESP-NN", required=True)
flags.DEFINE_string("out", "build/bench/esp_nn", "folder of files")
flags.DEFINE_string("table", "", "also write a table to this file")

LAYERS = keras.layers
KERNELS = (1, 2, 3, 4, 5, 7, (1, 3), (3, 1), (5, 3), (10, 4), (2, 5), (1, 7))
MAPS = (8, 8), (7, 9), (12, 5)
_EACH = 24
_ABOUT = """\
# ESP-NN on an ESP32-S3

Ops that ESP-NN has kernels for, run instruction by instruction on a \
simulated ESP32-S3 (`tools/xtensa_core.py`; C is compiled for another Xtensa \
core), on the values that TFLite's interpreter has there. Wrong: an output of \
a file for any kernels differs by more than one step of its scale. Rewritten: \
what `export_micro(core="esp32-s3")` and `export_tflite(kernels="esp-nn")` \
compute by other ops, and how many ops of those files are wrong then. Softmax \
of more than two axes is rewritten for all ESP32, because TFLite Micro's \
kernel takes the second axis for the row that its buffer is for; the \
simulator gives it a buffer that is large enough."""
_PUBLISHED = """\
Instructions of kernels that ESP-NN's README has ticks of, as measured on a \
board at 240 MHz, where they include waiting for external memory."""
# Ticks by ESP-NN's README, of version 1.2.3. Not those of kernels that were
# rewritten since, or whose time depends on the data.
TICKS = {
    "ADD of 1,615": 74440,
    "MUL of 1,615": 35002,
    "CONV_2D 1x1, 10x10x64 to 64": 331008,
    "CONV_2D 1x1, 8x8x16 to 16": 39022,
    "CONV_2D 3x3, 8x8x3 to 64": 394842,
    "DEPTHWISE_CONV_2D 3x3, 18x18x16": 184176,
}


def pair(number):
    return (number, number) if isinstance(number, int) else number


def fits(window, size, padding):
    return padding == "same" or all(
        k <= n for k, n in zip(pair(window), size, strict=True)
    )


def convolutions(make):
    """A network of convolutions of many shapes that read the same maps."""

    def build(size, channels, seed):
        rng = random.Random(seed)
        inputs, outputs = keras.Input((*size, channels)), []
        while len(outputs) < _EACH:
            window = rng.choice(KERNELS)
            padding = rng.choice(("same", "same", "valid"))
            options = {
                "strides": rng.choice((1, 1, 2, 2, 3)),
                "padding": padding,
                "activation": rng.choice((None, "relu", "relu6")),
            }
            if fits(window, size, padding):
                outputs.append(make(rng, window, options)(inputs))
        return keras.Model(inputs, outputs)

    return build


def plain(rng, window, options):
    return LAYERS.Conv2D(rng.choice((3, 8, 10)), window, **options)


def by_channel(rng, window, options):
    multiplier = rng.choice((1, 1, 1, 2, 3, 4, 8))
    return LAYERS.DepthwiseConv2D(
        window, depth_multiplier=multiplier, **options
    )


def pools(size, channels, _):
    inputs, outputs = keras.Input((*size, channels)), []
    for make in (LAYERS.MaxPooling2D, LAYERS.AveragePooling2D):
        for window in (2, 3, (1, 3), (4, 2), 5):
            for padding in ("same", "valid"):
                if fits(window, size, padding):
                    outputs += [
                        make(window, stride, padding)(inputs)
                        for stride in (1, 2, 3)
                    ]
    return keras.Model(inputs, outputs)


def rows(size, channels, seed):
    """Dense layers, softmax, and sums and products, of rows."""
    rng = random.Random(seed)
    inputs = keras.Input((size, channels))
    outputs = [LAYERS.Softmax()(inputs), LAYERS.Softmax(1)(inputs)]
    for count in (1, 3, 8, 17):
        activation = rng.choice((None, "relu", "relu6"))
        outputs.append(LAYERS.Dense(count, activation)(inputs))
    other = LAYERS.Dense(channels)(inputs)
    for make in (LAYERS.Add, LAYERS.Multiply):
        outputs.append(make()([inputs, other]))
    outputs.append(LAYERS.ReLU()(LAYERS.Add()([inputs, other])))
    return keras.Model(inputs, outputs)


CASES = {
    **{
        f"convolutions_{size[0]}_{size[1]}_{channels}": (
            *(convolutions(plain), size, channels),
        )
        for size in MAPS
        for channels in (1, 2, 3, 5, 8, 12, 16, 17, 24, 33)
    },
    **{
        f"depthwise_{size[0]}_{size[1]}_{channels}": (
            *(convolutions(by_channel), size, channels),
        )
        for size in MAPS
        for channels in (1, 2, 3, 4, 6, 7, 8, 9, 12, 16, 17, 20, 24, 40)
    },
    **{
        f"pools_{size[0]}_{size[1]}_{channels}": (pools, size, channels)
        for size, channels in (
            *(((8, 8), 4), ((7, 9), 8), ((6, 5), 12), ((5, 6), 20)),
            *(((8, 8), 3), ((6, 6), 16), ((5, 5), 33)),
        )
    },
    **{
        f"rows_{size}_{channels}": (rows, size, channels)
        for size, channels in (
            *((1, 5), (1, 16), (1, 17), (1, 40), (1, 100), (2, 8), (3, 16)),
            *((3, 20), (5, 32), (5, 33), (5, 36), (5, 40), (5, 48), (7, 50)),
            *((9, 64), (3, 4), (3, 6), (1, 3), (11, 1)),
        )
    },
}


def published():
    """A network of the ops that `TICKS` names, in their order."""
    values = [keras.Input((17, 95)) for _ in range(2)]
    deep, thin, few, wide = (
        keras.Input(shape)
        for shape in ((10, 10, 64), (8, 8, 16), (8, 8, 3), (18, 18, 16))
    )
    outputs = [
        LAYERS.Add()(values),
        LAYERS.Multiply()(values),
        LAYERS.Conv2D(64, 1)(deep),
        LAYERS.Conv2D(16, 1)(thin),
        LAYERS.Conv2D(64, 3)(few),
        LAYERS.DepthwiseConv2D(3)(wide),
    ]
    return keras.Model([*values, deep, thin, few, wide], outputs)


def export(folder, name, build):
    path = folder / f"{name}.tflite"
    if not path.exists():
        keras.utils.set_random_seed(0)
        model = build()
        rng = np.random.default_rng(0)
        for weight in model.trainable_variables:
            if weight.path.endswith("bias"):
                weight.assign(rng.normal(size=weight.shape) * 0.3)
        x = [
            rng.normal(size=(8, *tensor.shape[1:])).astype("float32")
            for tensor in model.inputs
        ]
        tflite.export_tflite(model, path, "int8", x)
        print(name, flush=True)
    return path


def run(kernels, path):
    """`(op, Ran)` of the ops that ESP-NN has a kernel for."""
    (graph,) = flat_ops.read(path.read_bytes())
    return [
        (op, ran)
        for op, ran in zip(graph.ops, kernels.ops(path), strict=True)
        if ran is not None
    ]


def _is_of(name, op):
    """Whether an op of a kind is the one of a name, by its input's depth."""
    if not op.kind.startswith("CONV"):
        return True
    return f"x{op.inputs[0].shape[-1]} to" in name


def main(_):
    folder = pathlib.Path(FLAGS.out).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    kernels = esp_nn.Kernels(FLAGS.esp_nn, folder / "build")
    counted, wrong, worst = (collections.Counter() for _ in range(3))
    rewritten, left = collections.Counter(), collections.Counter()
    for number, (name, (build, *shape)) in enumerate(CASES.items()):
        path = export(folder, name, lambda b=build, s=shape, n=number: b(*s, n))
        for op, ran in run(kernels, path):
            counted[op.kind] += 1
            wrong[op.kind] += ran.by > 1
            worst[op.kind] = max(worst[op.kind], ran.by)
        data, names = esp_kernels.substituted(path.read_bytes())
        rewritten.update(name.split()[0] for name in names)
        if names:
            other = path.with_suffix(".rewritten")
            other.write_bytes(data)
            for op, ran in run(kernels, other):
                left[op.kind] += ran.by > 1
        print(name, len(names), flush=True)
    path = export(folder, "published", published)
    found = {}
    for op, ran in run(kernels, path):
        for name in TICKS:
            if name.split()[0] == op.kind and _is_of(name, op):
                found[name] = ran.instructions
    speeds = tables.Table(
        ("op", "instructions", "ticks of a board"),
        tuple(
            (name, f"{found[name]:,}", f"{ticks:,}")
            for name, ticks in TICKS.items()
        ),
    )
    table = tables.Table(
        ("op", "ran", "wrong", "largest error", "rewritten", "wrong then"),
        tuple(
            (
                kind,
                *(f"{counted[kind]:,}", f"{wrong[kind]:,}"),
                *(f"{worst[kind]}", f"{rewritten[kind]:,}", f"{left[kind]:,}"),
            )
            for kind in sorted(counted)
        ),
    )
    results.publish(
        f"{_ABOUT}\n\n{table.to_markdown()}\n\n"
        f"{_PUBLISHED}\n\n{speeds.to_markdown()}\n\n"
        f"{results.footer('esp_nn.py')}\n",
        FLAGS.table,
    )


if __name__ == "__main__":
    app.run(main)
