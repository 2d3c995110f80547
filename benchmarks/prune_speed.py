"""Time and memory of analysis and pruning, as ratios to `clone_model`.

Each network is measured in its own process, in which the calls take turns.
Figures are medians of ratios within a round, so that the machine's speed
cancels out. Growth is the fitted exponent of time over size.

  python benchmarks/prune_speed.py --table=docs/results/prune_speed.md
"""

import json
import pathlib
import subprocess
import sys
import time
from unittest import mock

import keras
import numpy as np
import peak_memory
import results as results_lib
from absl import app
from absl import flags

import tfprune
from tfprune.graph import read
from tfprune.selection import cut as cut_lib

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "models", ["ResNet50", "DenseNet121", "MobileNetV2"], "keras.applications"
)
flags.DEFINE_integer("rounds", 5, "measurements of each call")
flags.DEFINE_string("out", "build/bench/prune_speed.json", "result file")
flags.DEFINE_string("table", "", "page to write, docs/results/prune_speed.md")
flags.DEFINE_string("one", "", "measure this network in this process")

LIMITS = {"analysis": 0.3, "prune": 1.3, "memory": 2.2}


def seconds(call):
    start = time.process_time()
    call()
    return time.process_time() - start


def measure(name, rounds):
    """Ratios for one network of keras.applications at its default input."""
    model = getattr(keras.applications, name)(weights=None)
    budget = tfprune.Budget(macs=0.5)
    calls = {
        "clone": lambda: keras.models.clone_model(model),
        "analysis": lambda: (
            cut_lib.choose(tfprune.channel_graph(model), budget).keep
        ),
        "prune": lambda: tfprune.prune(model, budget),
    }
    for call in calls.values():
        call()
    memory = peak_memory.of(calls["prune"])
    with mock.patch.object(
        read, "channel_graph", wraps=read.channel_graph
    ) as reader:
        calls["prune"]()
    times = [
        {key: seconds(call) for key, call in calls.items()}
        for _ in range(rounds)
    ]
    weights = sum(
        int(np.prod(w.shape)) * np.dtype(w.dtype).itemsize
        for w in model.weights
    )
    return {
        "clone_s": float(np.median([t["clone"] for t in times])),
        "analysis": float(
            np.median([t["analysis"] / t["clone"] for t in times])
        ),
        "prune": float(np.median([t["prune"] / t["clone"] for t in times])),
        "memory": memory / weights,
        "reads": reader.call_count,
        "weight_bytes": weights,
    }


def chain(layers, filters):
    """Convolution, normalisation, activation; Keras recurses at ~1000 ops."""
    x = inputs = keras.Input((8, 8, filters))
    for _ in range(layers):
        x = keras.layers.Conv2D(filters, 1, use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    return keras.Model(inputs, x)


def wide(filters):
    """Depthwise stages: many channels without many weights."""
    x = inputs = keras.Input((4, 4, 1))
    x = keras.layers.Conv2D(filters, 1)(x)
    for _ in range(4):
        x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
        x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def growth(rounds):
    """Exponents of the time of `channel_graph` and its groups over size."""

    def graph_seconds(model):
        def read():
            return tfprune.channel_graph(model).groups

        read()
        return min(seconds(read) for _ in range(rounds))

    depths, widths = [40, 80, 160, 320], [4096, 16384, 65536, 262144]
    by_depth = [graph_seconds(chain(n, 4)) for n in depths]
    by_width = [graph_seconds(wide(n)) for n in widths]
    return {
        "layers": dict(zip(depths, by_depth, strict=True)),
        "channels": dict(zip(widths, by_width, strict=True)),
        "exponent_layers": float(
            np.polyfit(np.log(depths), np.log(by_depth), 1)[0]
        ),
        "exponent_channels": float(
            np.polyfit(np.log(widths), np.log(by_width), 1)[0]
        ),
    }


def page(results):
    """The page of `docs/results`, `str`."""
    rows = [
        f"| {name} | {found['analysis']:.2f} | {found['prune']:.2f} | "
        f"{found['memory']:.2f} | {found['reads']} |"
        for name, found in results.items()
        if name in FLAGS.models
    ]
    goals = " | ".join(f"{value:.2f}" for value in results["limits"].values())
    found = results["growth"]
    return "\n".join(
        [
            "# Speed of prune",
            "",
            "Ratios to `keras.models.clone_model` in the same process, medians "
            f"of {FLAGS.rounds} rounds. `prune` includes the new model and "
            "its weights; reads are calls of `channel_graph` on the way.",
            "",
            "| network | analysis, scores, selection | whole `prune` | extra "
            "memory / weights | reads of the model |",
            "| :-- | --: | --: | --: | --: |",
            *rows,
            f"| goal | {goals} | 1 |",
            "",
            "The time of the analysis grows as layers^"
            f"{found['exponent_layers']:.2f} and as channels^"
            f"{found['exponent_channels']:.2f} (fitted).",
            "",
            results_lib.footer("prune_speed.py"),
            "",
        ]
    )


def main(argv):
    del argv
    if FLAGS.one == "growth":
        print(json.dumps(growth(FLAGS.rounds)))
        return
    if FLAGS.one:
        print(json.dumps(measure(FLAGS.one, FLAGS.rounds)))
        return
    results = {}
    for name in [*FLAGS.models, "growth"]:
        command = [sys.executable, __file__, f"--one={name}"]
        command.append(f"--rounds={FLAGS.rounds}")
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{name} stopped:\n{done.stderr[-2000:]}")
        results[name] = json.loads(done.stdout.splitlines()[-1])
        print(name, json.dumps(results[name]), flush=True)
    results["limits"] = LIMITS
    path = pathlib.Path(FLAGS.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(results, indent=2) + "\n")
    temporary.rename(path)
    results_lib.publish(page(results), FLAGS.table)


if __name__ == "__main__":
    app.run(main)
