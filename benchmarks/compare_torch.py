"""CPU time of pruning, compared with Torch-Pruning on the same networks.

Each library analyses a network, ranks its channels by L1 norm and removes half
of each group. tfprune builds a new Keras model with its weights, while
Torch-Pruning prunes in place. Then each reaches a budget of half of the
multiply-adds with one ranking over all layers, Torch-Pruning in steps of 1/400,
as its authors' scripts do. Both run on one thread, in separate processes that
take turns.

  make venv-torch
  python benchmarks/compare_torch.py --table=docs/results/compare_torch.md
"""

import json
import pathlib
import subprocess
import sys
import time

import keras
import numpy as np
import results
from absl import app
from absl import flags

import tfprune
from tfprune.core import tables
from tfprune.surgery import verification

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "torch", ".venv-torch/bin/python", "a Python with torch and torch-pruning"
)
flags.DEFINE_integer("turns", 3, "processes per library and network")
flags.DEFINE_integer("rounds", 3, "times a process prunes")
flags.DEFINE_string("one", "", "measure this network in this process")
flags.DEFINE_string("table", "", "also write the table to this file")

LAYERS = keras.layers
HERE = pathlib.Path(__file__).resolve().parent


def vit(width=192, heads=3, blocks=12):
    x = inputs = keras.Input((224, 224, 3))
    x = LAYERS.Reshape((196, width))(LAYERS.Conv2D(width, 16, 16)(x))
    for _ in range(blocks):
        y = LAYERS.LayerNormalization()(x)
        y = LAYERS.MultiHeadAttention(heads, width // heads)(y, y)
        x = LAYERS.Add()([x, y])
        y = LAYERS.LayerNormalization()(x)
        y = LAYERS.Dense(4 * width, activation="gelu")(y)
        x = LAYERS.Add()([x, LAYERS.Dense(width)(y)])
    x = keras.ops.mean(LAYERS.LayerNormalization()(x), axis=1)
    return keras.Model(inputs, LAYERS.Dense(1000)(x))


def norm_relu(x):
    return LAYERS.ReLU()(LAYERS.BatchNormalization()(x))


def shuffle_unit(x):
    rows, columns, channels = x.shape[1:]
    half = channels // 2
    a, b = keras.ops.split(x, 2, axis=-1)
    b = norm_relu(LAYERS.Conv2D(half, 1, use_bias=False)(b))
    b = LAYERS.DepthwiseConv2D(3, padding="same", use_bias=False)(b)
    b = LAYERS.BatchNormalization()(b)
    b = norm_relu(LAYERS.Conv2D(half, 1, use_bias=False)(b))
    x = LAYERS.Concatenate()([a, b])
    x = LAYERS.Reshape((rows, columns, 2, half))(x)
    x = LAYERS.Permute((1, 2, 4, 3))(x)
    return LAYERS.Reshape((rows, columns, channels))(x)


def shufflenet():
    x = inputs = keras.Input((224, 224, 3))
    x = norm_relu(LAYERS.Conv2D(24, 3, 2, "same", use_bias=False)(x))
    for channels, units in ((116, 3), (232, 7), (464, 3)):
        x = norm_relu(LAYERS.Conv2D(channels, 3, 2, "same")(x))
        for _ in range(units):
            x = shuffle_unit(x)
    x = LAYERS.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, LAYERS.Dense(1000)(x))


NETWORKS = {
    "ResNet-50": lambda: keras.applications.ResNet50(weights=None),
    "DenseNet-121": lambda: keras.applications.DenseNet121(weights=None),
    "ViT-Ti/16": vit,
    "ShuffleNetV2": shufflenet,
}


def measure(name):
    """The counterpart of `torch_networks.py` for this library."""
    model = NETWORKS[name]()
    times = []
    for _ in range(FLAGS.rounds + 1):
        start = time.process_time()
        small = tfprune.prune(model, 0.5, "l1")
        times.append(time.process_time() - start)
    # Fails if the pruned model cannot be called.
    verification.output_difference(small, small)
    start = time.process_time()
    tfprune.prune(model, tfprune.Budget(macs=0.5), "l1")
    return {
        "params": model.count_params(),
        "left": small.count_params(),
        "seconds": times[1:],
        "budget_seconds": time.process_time() - start,
    }


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command} stopped:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main(argv):
    del argv
    if FLAGS.one:
        print(json.dumps(measure(FLAGS.one)))
        return
    cells, peer = [], {}
    for name in NETWORKS:
        ours, theirs = [], []
        for _ in range(FLAGS.turns):
            rounds = f"--rounds={FLAGS.rounds}"
            ours.append(run(sys.executable, __file__, f"--one={name}", rounds))
            script = str(HERE / "torch_networks.py")
            theirs.append(run(FLAGS.torch, script, name, str(FLAGS.rounds)))
        peer = theirs[0]
        cells.append(row(name, ours, theirs))
        print("  ".join(cells[-1]), flush=True)
    write(cells, peer)


def row(name, ours, theirs):
    def seconds(found):
        turns = [f["seconds"] for f in found if "seconds" in f]
        return float(np.median(turns)) if turns else None

    own, other = seconds(ours), seconds(theirs)
    failed = theirs[0].get("error")
    left = [
        f"{found['left'] / found['params']:.1%}" if "left" in found else "-"
        for found in (ours[0], theirs[0])
    ]
    ratio = "-" if failed or other is None else f"{other / own:.2f}"
    other = "-" if other is None else f"{other:.2f}"
    one = np.median([found["budget_seconds"] for found in ours])
    steps = [f["budget_seconds"] for f in theirs if "budget_seconds" in f]
    budget = [f"{one:.2f}", "-", "-"]
    if steps:
        two = np.median(steps)
        budget[1:] = [f"{two:.1f}", f"{two / one:.0f}"]
    cells = (f"{own:.2f}", other, ratio, *budget)
    return name, *cells, *left, failed or ""


def write(cells, peer):
    header = (
        "network",
        "tfprune, s",
        "Torch-Pruning, s",
        "ratio",
        "tfprune to half of the MACs, s",
        "Torch-Pruning, s",
        "ratio",
        "tfprune, left",
        "Torch-Pruning, left",
        "Torch-Pruning fails with",
    )
    text = (
        "# Comparison with Torch-Pruning\n\n"
        "CPU seconds on one thread to analyse a network, rank its channels by "
        f"L1 norm and remove half of each group: the median of {FLAGS.turns} "
        f"processes of {FLAGS.rounds} rounds each, which take turns. Then the "
        "same for a budget of half of the multiply-adds with one ranking over "
        "all layers, which Torch-Pruning reaches in steps of 1/400, as its "
        "authors' scripts do. A ratio above 1 means that tfprune is faster. "
        "`left`: the share of parameters left after half of each group is "
        "removed. An error when the pruned model is called also counts as a "
        "failure.\n\n"
        f"{tables.Table(header, tuple(cells)).to_markdown()}\n"
        f"torch {peer['torch']}, torch-pruning {peer['torch_pruning']}, "
        f"{results.footer('compare_torch.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
