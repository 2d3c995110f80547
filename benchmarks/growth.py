"""Growth of the time to read a model with its layers and its channels.

Reads chains with more and more layers, or with more and more channels in each,
and fits a power law to the time of `channel_graph` with its groups. An exponent
of 1 means linear growth.

  python benchmarks/growth.py --plot=docs/results/growth.png \\
      --table=docs/results/growth.md
"""

import math
import statistics
import sys
import time

import keras
import numpy as np
import results
from absl import app
from absl import flags

import tfprune
from tfprune.core import tables
from tfprune.core.files import atomic
from tfprune.plots import style

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "layers", ["126", "252", "501", "1002", "2004"], "chains' lengths"
)
flags.DEFINE_list(
    "channels", ["4096", "16384", "65536", "262144", "1048576"], "of a layer"
)
flags.DEFINE_list(
    "large",
    [
        "BERT-base",
        "EfficientNetV2L",
        "ConvNeXtBase",
        "ConvNeXtXLarge",
        "NASNetLarge",
    ],
    "networks, beside their clones",
)
flags.DEFINE_integer("rounds", 5, "runs, of which the fastest counts")
flags.DEFINE_string("plot", "", "a picture to write")
flags.DEFINE_string("table", "", "also write the table to this file")

LAYERS = keras.layers


def deep(layers):
    """Convolution, normalization and activation of 16 channels, repeated."""
    x = inputs = keras.Input((8, 8, 16))
    for _ in range(layers // 3):
        x = LAYERS.Conv2D(16, 1, use_bias=False)(x)
        x = LAYERS.BatchNormalization()(x)
        x = LAYERS.ReLU()(x)
    return keras.Model(inputs, x)


def wide(channels):
    """Five depthwise stages, then a reader: channels, but few weights."""
    x = inputs = keras.Input((4, 4, 1))
    x = LAYERS.Conv2D(channels, 1)(x)
    for _ in range(5):
        x = LAYERS.DepthwiseConv2D(3, padding="same")(x)
        x = LAYERS.BatchNormalization()(x)
        x = LAYERS.ReLU()(x)
    x = LAYERS.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, LAYERS.Dense(2)(x))


def large(name):
    """A network of `keras.applications`, or BERT's encoder."""
    if name != "BERT-base":
        return getattr(keras.applications, name)(weights=None)
    width = 768
    ids = keras.Input((128,), dtype="int32")
    x = LAYERS.Embedding(30_522, width)(ids)
    x = LAYERS.LayerNormalization()(x)
    for _ in range(12):
        y = LAYERS.MultiHeadAttention(12, width // 12)(x, x)
        x = LAYERS.LayerNormalization()(x + y)
        y = LAYERS.Dense(4 * width, activation="gelu")(x)
        x = LAYERS.LayerNormalization()(x + LAYERS.Dense(width)(y))
    return keras.Model(ids, LAYERS.Dense(2)(x[:, 0]), name="bert_base")


def beside_clone(model):
    """CPU time of `prune` to half, relative to `clone_model`: the median."""
    ratios = []
    for _ in range(FLAGS.rounds // 2 + 1):
        start = time.process_time()
        tfprune.prune(model, macs=0.5)
        middle = time.process_time()
        keras.models.clone_model(model)
        ratios.append((middle - start) / (time.process_time() - middle))
    return statistics.median(ratios[1:])


def seconds(model):
    """Minimum CPU time to read a model and find its groups."""
    times = []
    for _ in range(FLAGS.rounds + 1):
        start = time.process_time()
        assert tfprune.channel_graph(model).groups
        times.append(time.process_time() - start)
    return min(times[1:])


def main(argv):
    del argv
    sys.setrecursionlimit(20_000)  # Keras traverses a chain by recursion.
    curves = {}
    for name, build in (("layers", deep), ("channels", wide)):
        sizes = [int(n) for n in FLAGS[name].value]
        times = []
        for size in sizes:
            times.append(seconds(build(size)))
            print(f"{size} {name}: {times[-1]:.3f} s", flush=True)
            keras.utils.clear_session()
        exponent = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
        curves[name] = sizes, times, exponent
    ratios = {}
    for name in FLAGS.large:
        model = large(name)
        counts = len(model.layers), model.count_params()
        ratios[name] = (*counts, beside_clone(model))
        print(name, *ratios[name], flush=True)
        del model
        keras.utils.clear_session()
    write(curves, ratios)


def write(curves, ratios):
    header = ("", "size", "CPU s", "fitted exponent")
    cells = []
    for name, (sizes, times, exponent) in curves.items():
        fits = [""] * (len(sizes) - 1) + [f"{exponent:.2f}"]
        for n, t, fit in zip(sizes, times, fits, strict=True):
            cells.append((name, f"{n:,}", f"{t:.3f}", fit))
    beside = tables.Table(
        ("network", "layers", "weights", "`prune` / `clone_model`"),
        tuple(
            (name, f"{layers:,}", f"{weights:,}", f"{ratio:.2f}")
            for name, (layers, weights, ratio) in ratios.items()
        ),
    )
    picture = "\n![](growth.png)\n" if FLAGS.plot else ""
    text = (
        "# Growth\n\n"
        "Time of `tfprune.channel_graph(model).groups` for chains of layers "
        "with 16 channels, and for 18 layers with more and more channels; the "
        f"minimum of {FLAGS.rounds} rounds.\n\n"
        f"{tables.Table(header, tuple(cells), left=1).to_markdown()}{picture}\n"
        "Large networks: CPU time of `prune` to half of the multiply-adds, "
        "relative to `keras.models.clone_model`, which copies no weights; the "
        f"median of {FLAGS.rounds // 2} rounds.\n\n"
        f"{beside.to_markdown()}\n"
        f"{results.footer('growth.py')}\n"
    )
    print(text)
    contents = {}
    if FLAGS.table:
        contents[FLAGS.table] = text.encode()
    if FLAGS.plot:
        contents[FLAGS.plot] = drawn(curves)
    atomic.write(contents)


def drawn(curves):
    """A plot of both curves, as bytes of a PNG file."""
    with style.used():
        figure, (panels,) = style.panels(1, 2, (8, 3.2))
        (look,) = style.series(1)
        for axes, (name, (sizes, times, exponent)) in zip(
            panels, curves.items(), strict=True
        ):
            decades = math.log10(sizes[-1] / sizes[0])
            for each in "xy":
                marks = (1, 2, 5) if decades < 2 else (1,)
                style.logarithmic(axes, each, marks=marks)
            axes.plot(sizes, times, label=f"exponent {exponent:.2f}", **look)
            line = times[0] * np.array(sizes) / sizes[0]
            axes.plot(sizes, line, "--", color=style.FIXED, label="linear")
            axes.set_xlabel(name)
            axes.set_ylabel("CPU s")
            axes.legend()
        return style.encoded(figure)


if __name__ == "__main__":
    app.run(main)
