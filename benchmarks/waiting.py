"""What people wait for: pruning, exports, measurements, searches, steps.

Each row is measured in a process of its own, as what a user meets: figures that
begin with a start are seconds, the others are ratios within one process, so
that the machine's speed cancels out.

  python benchmarks/waiting.py --table=docs/results/waiting.md
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import keras
import numpy as np
import peak_memory
import results
from absl import app
from absl import flags

import tfprune
from tfprune import zoo
from tfprune.core import tables
from tfprune.core.files import leftovers

FLAGS = flags.FLAGS
flags.DEFINE_list("rows", [], "which; by default all")
flags.DEFINE_integer("rounds", 5, "measurements of each call")
flags.DEFINE_string("out", "build/bench/waiting", "folder of finished rows")
flags.DEFINE_string("table", "", "also write the table to this file")
flags.DEFINE_string("one", "", "internal: measure this row in this process")

# Names of rows: what is measured, and the goal.
ROWS = {}
# Of parts of a row that have one of their own.
GOALS = {"memory of the child / weights": "2.5"}


def row(text, goal):
    """Registers a function that returns a list of `(what, found)`."""

    def register(function):
        ROWS[function.__name__] = (text, goal, function)
        return function

    return register


def elapsed(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def cpu(call):
    began = time.process_time()
    call()
    return time.process_time() - began


def ratio(call, floor):
    """Median ratio of CPU times within rounds; the first does not count."""
    found = [cpu(call) / cpu(floor) for _ in range(FLAGS.rounds + 1)]
    return statistics.median(found[1:])


@row("The first `prune` of a process, ResNet-50, CPU seconds", "0.55")
def first_prune():
    model = keras.applications.ResNet50(weights=None)
    return [("", f"{cpu(lambda: tfprune.prune(model, macs=0.5)):.2f}")]


@row("The same on JAX, that ratio and then another", "0.5")
def first_prune_on_jax():
    script = """
import time
import keras
import tfprune
model = keras.applications.ResNet50(weights=None)
# Keras imports TensorFlow now, if that is installed, as with `model.save`.
keras.saving.serialize_keras_object(keras.layers.ReLU())
for macs in (0.5, 0.6):
    began = time.process_time()
    tfprune.prune(model, macs=macs)
    print(round(time.process_time() - began, 2))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return list(zip(("first", "second"), done.stdout.split(), strict=True))


@row("Of the first Keras: such a network, half as wide, from its config", "")
def first_build():
    model = keras.applications.ResNet50(weights=None)
    config = model.get_config()
    for layer in config["layers"]:
        layer.pop("build_config", None)  # It names the shapes.
        if "filters" in layer["config"]:
            layer["config"]["filters"] //= 2
    return [("", f"{cpu(lambda: keras.Model.from_config(config)):.2f}")]


@row("The first `export_tflite` of a process, 100 million weights", "15 s")
def large_export():
    inputs = keras.Input((4472,))
    x = inputs
    for _ in range(5):
        x = keras.layers.Dense(4472, use_bias=False)(x)
    model = keras.Model(inputs, x)
    return _exported(model, 4 * model.count_params())


@row("The same, a network of 1,000 layers", "15 s")
def deep_export():
    inputs = keras.Input((8, 8, 8))
    x = inputs
    for _ in range(333):
        y = keras.layers.Conv2D(8, 3, padding="same")(x)
        y = keras.layers.ReLU()(y)
        x = keras.layers.Add()([x, y])
    return _exported(keras.Model(inputs, x))


def _exported(model, weights=None):
    with leftovers.folder() as folder, peak_memory.Children() as peak:
        path = pathlib.Path(folder) / "model.tflite"
        seconds = elapsed(lambda: tfprune.export_tflite(model, path))
    found = [("", f"{seconds:.1f} s")]
    if weights:
        found.append(("memory of the child / weights", peak.bytes / weights))
    return [(w, v if isinstance(v, str) else f"{v:.2f}") for w, v in found]


@row("`latency_table` of ResNet-8", "46 s")
def measured_layers():
    model = zoo.build("resnet8", classes=10)
    seconds = elapsed(
        lambda: tfprune.deploy.latency_table(model, progress=False)
    )
    return [("", f"{seconds:.1f} s")]


@row("`tfprune inspect FILE.tflite`", "0.5 s")
def inspection():
    with leftovers.folder() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        tfprune.export_tflite(zoo.build("resnet8", classes=10), path)
        # Next to Python, as pip installs it.
        tool = pathlib.Path(sys.executable).with_name("tfprune")
        command = [tool, "inspect", path]
        found = [
            elapsed(
                lambda: subprocess.run(
                    command, stdout=subprocess.DEVNULL, check=True
                )
            )
            for _ in range(FLAGS.rounds)
        ]
    return [("", f"{statistics.median(found):.2f} s")]


@row("`evaluate_tflite` on TFLite Micro, all cores / one core", "1 / cores")
def evaluation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 32, 32, 3)).astype("float32")
    y = rng.integers(0, 10, 400)
    cores = sorted(os.sched_getaffinity(0))
    with leftovers.folder() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        model = zoo.build("resnet8", classes=10)
        tfprune.export_tflite(model, path, "int8", x[:16])

        def seconds(allowed):
            os.sched_setaffinity(0, allowed)
            return elapsed(
                lambda: tfprune.evaluate_tflite(
                    path, (x, y), "micro", progress=False
                )
            )

        found = [seconds(cores) / seconds(cores[:1]) for _ in range(3)]
    return [(f"{len(cores)} cores", f"{statistics.median(found):.2f}")]


@row("A trial of `search` / inference of its images", "1.15")
def search_trials():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1024, 32, 32, 3)).astype("float32")
    y = rng.integers(0, 10, 1024)
    found = []
    for name in ("resnet20", "resnet56"):
        model = zoo.build(name, classes=10)

        def search(trials, model=model):
            tfprune.search(
                model,
                (x, y),
                tfprune.Budget(macs=0.5),
                "random",
                trials,
                progress=False,
            )

        def predict(model=model):
            model.predict(x, batch_size=256, verbose=0)

        predict()
        few, many = (cpu(lambda n=n: search(n)) for n in (2, 10))
        once = statistics.median(cpu(predict) for _ in range(3))
        found.append((name, f"{(many - few) / 8 / once:.2f}"))
    return found


@row("A training step, ResNet-20, wrapped / plain", "1.05")
def steps():
    methods = tfprune.methods
    ways = {
        "masks": methods.Masked(),
        "STR": methods.SoftThreshold(),
        "AutoPrune": methods.AutoPrune(),
        "RigL": methods.RigL(),
        "HardConcrete": methods.HardConcrete(),
        "BitPruning": methods.BitPruning(),
        "attention gates": methods.AttentionGate(),
    }
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1280, 32, 32, 3)).astype("float32")
    y = rng.integers(0, 10, 1280)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def trainer(model):
        model.compile(keras.optimizers.SGD(0.01), loss, jit_compile=False)
        return lambda: model.fit(x, y, batch_size=128, verbose=0)

    plain = trainer(zoo.build("resnet20", classes=10))
    found = []
    for name, way in ways.items():
        wrapped = tfprune.wrap(zoo.build("resnet20", classes=10), way)
        found.append((name, f"{ratio(trainer(wrapped), plain):.3f}"))
    return found


@row("Memory of `prune` to half the weights / the new weights", "1.1")
def pruning_memory():
    def network(layers, units):
        inputs = keras.Input((units,))
        x = inputs
        for _ in range(layers):
            x = keras.layers.Dense(units, activation="relu")(x)
        return keras.Model(inputs, keras.layers.Dense(10)(x))

    found = []
    for what, layers, units in (
        ("25 layers", 25, 2000),
        ("2 layers", 2, 7000),
    ):
        model = network(layers, units)
        kept = []

        def prune(model=model, kept=kept):
            kept.append(tfprune.prune(model, params=0.5))

        peak = peak_memory.of(prune)
        found.append((what, f"{peak / 4 / kept[0].count_params():.2f}"))
    return found


def main(argv):
    del argv
    if FLAGS.one:
        print(json.dumps(ROWS[FLAGS.one][2]()))
        return
    lines = []
    for name in FLAGS.rows or ROWS:
        text, goal, _ = ROWS[name]
        for what, found in measured(name):
            title = f"{text}: {what}" if what else text
            lines.append((title, found, GOALS.get(what, goal)))
    table = tables.Table(("work", "found", "goal"), tuple(lines))
    results.publish(
        "# What people wait for\n\n"
        "Each row in a process of its own. Ratios are of CPU time within a "
        f"process, medians of {FLAGS.rounds} rounds; seconds depend on the "
        "machine and on its other load.\n\n"
        f"{table.to_markdown()}\n{results.footer('waiting.py')}\n",
        FLAGS.table,
    )


def measured(name):
    """The figures of a row, from its file if it is finished."""
    path = pathlib.Path(FLAGS.out) / f"{name}.json"
    if not path.exists():
        command = [sys.executable, __file__, f"--one={name}"]
        command.append(f"--rounds={FLAGS.rounds}")
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(f"{name} failed; its error is above.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(done.stdout.splitlines()[-1])
        print(path, path.read_text(), flush=True)
    return json.loads(path.read_text())


if __name__ == "__main__":
    app.run(main)
