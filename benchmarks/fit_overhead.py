"""Overhead of pruning inside `fit`, compared with tfmot's prune_low_magnitude.

Both prune the same ResNet-20 on the same data, with the same batches and
schedule: tfprune with Keras 3, tfmot with tf_keras, each in its own process. A
plain and a pruned model alternate, and the order changes every round. Figures
are medians of ratios of CPU time per step within a round, so that the machine's
speed cancels out. Each process has one thread, and one core where the system
permits it, because the scheduling of several threads would dominate the result.
Masks are updated once per round. With --epochs, both are also trained.
Finished parts are read from --out and not repeated.

tfmot needs a separate environment in which tfprune is importable, too:

  pip install -e ".[tfmot]"
  python benchmarks/fit_overhead.py --tfmot_python=/path/to/its/python
"""

import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import numpy as np
from absl import app
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_string("tfmot_python", "", "interpreter that can import tfmot")
flags.DEFINE_string("dataset", "digits", "data set of tfprune.datasets")
flags.DEFINE_string("data_dir", None, "folder of the data set")
flags.DEFINE_integer("rounds", 5, "measured rounds")
flags.DEFINE_integer("steps", 20, "steps per round and between updates")
flags.DEFINE_integer("batch_size", 128, "images per step")
flags.DEFINE_integer("epochs", 0, "epochs of training; 0 means none")
flags.DEFINE_list("seeds", ["0"], "runs of training")
flags.DEFINE_integer("processes", 3, "processes per library to time steps in")
flags.DEFINE_string("out", "build/fit_overhead", "folder of the results")
flags.DEFINE_string("table", "", "also write a table to this file")
flags.DEFINE_string("one", "", "library:part, measure it in this process")

SPARSITY = 0.8
SETTINGS = (
    *("dataset", "rounds", "steps", "batch_size", "processes"),
    *("epochs", "seeds"),
)
_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
# The limit on the ratio of CPU times of a pruned and a plain step, with jit.
LIMIT = 1.1


class Ours:
    """tfprune on Keras 3."""

    def __init__(self):
        import keras

        import tfprune
        from tfprune.callbacks import prune_on_schedule
        from tfprune.methods import masked
        from tfprune.sparsity import wrapping

        self.keras = keras
        self._wrap = lambda model: wrapping.wrap(model, masked.Masked())
        self._callback = prune_on_schedule.PruneOnSchedule
        self._schedule = tfprune.schedules.Polynomial
        self.versions = {"tfprune": tfprune.__version__}
        self.versions["keras"] = keras.__version__

    def pruned(self, model, end, frequency):
        schedule = self._schedule(
            0.0, SPARSITY, begin=0, end=end, frequency=frequency
        )
        return self._wrap(model), [self._callback(schedule)]

    def zeros(self, model):
        from tfprune.sparsity import wrapper

        return wrapper.sparsity(model)


class Tfmot:
    """prune_low_magnitude on tf_keras."""

    def __init__(self):
        import tensorflow_model_optimization as tfmot
        import tf_keras

        self.keras = tf_keras
        self._tfmot = tfmot.sparsity.keras
        self.versions = {"tf_keras": tf_keras.__version__}
        self.versions["tfmot"] = tfmot.__version__

    def pruned(self, model, end, frequency):
        schedule = self._tfmot.PolynomialDecay(
            0.0, SPARSITY, begin_step=0, end_step=end, frequency=frequency
        )
        # By default it prunes all supported layers: those with kernels.
        wrapped = self._tfmot.prune_low_magnitude(model, schedule)
        return wrapped, [self._tfmot.UpdatePruningStep()]

    def zeros(self, model):
        plain = self._tfmot.strip_pruning(model)
        kernels = [w.numpy() for w in plain.weights if "kernel" in w.name]
        zeros = sum(np.count_nonzero(k == 0) for k in kernels)
        return zeros / sum(k.size for k in kernels)


LIBRARIES = {"tfprune": Ours, "tfmot": Tfmot}


def resnet20(keras, shape, classes):
    """ResNet-20 with 1x1 shortcuts, for either version of Keras."""

    def convolution(x, filters, size, strides=1, relu=True):
        x = keras.layers.Conv2D(
            filters, size, strides, padding="same", use_bias=False
        )(x)
        x = keras.layers.BatchNormalization()(x)
        return keras.layers.ReLU()(x) if relu else x

    inputs = keras.Input(shape)
    x = convolution(inputs, 16, 3)
    for i, filters in enumerate([16] * 3 + [32] * 3 + [64] * 3):
        strides = 2 if i in (3, 6) else 1
        y = convolution(x, filters, 3, strides)
        y = convolution(y, filters, 3, relu=False)
        if strides > 1:
            x = convolution(x, filters, 1, strides, relu=False)
        x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


def compiled(keras, model, jit, learning_rate=0.05):
    model.compile(
        keras.optimizers.SGD(learning_rate, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit,
    )
    return model


def overhead(library, images, jit):
    """CPU seconds of a plain and of a pruned step in each round."""
    keras, steps = library.keras, FLAGS.steps
    count = FLAGS.batch_size * steps
    pick = np.resize(np.arange(len(images.train)), count)
    x = images.preprocessing(images.train.x[pick])
    y = images.train.y[pick]
    models = {}
    for name in ("plain", "pruned"):
        model, callbacks = resnet20(keras, images.shape, images.classes), []
        if name == "pruned":
            end = steps * (FLAGS.rounds + 1)
            model, callbacks = library.pruned(model, end, steps)
        models[name] = compiled(keras, model, jit), callbacks
    rounds = []
    for number in range(FLAGS.rounds + 1):
        times = {}
        order = list(models)[:: -1 if number % 2 else 1]
        for name in order:
            model, callbacks = models[name]
            start = time.process_time()
            model.fit(
                x,
                y,
                batch_size=FLAGS.batch_size,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
            times[name] = (time.process_time() - start) / steps
        rounds.append(times)
    rounds = rounds[1:]  # The first round includes compilation.
    ratios = [r["pruned"] / r["plain"] for r in rounds]
    return {
        "ratio": float(np.median(ratios)),
        "ratios": ratios,
        "plain_s": float(np.median([r["plain"] for r in rounds])),
    }


def training(library, images, seed):
    """Test accuracy and zeros in percent, after the same epochs."""
    from tfprune.datasets import batches

    keras = library.keras
    keras.utils.set_random_seed(seed)
    steps = -(-len(images.train) // FLAGS.batch_size) * FLAGS.epochs
    model = resnet20(keras, images.shape, images.classes)
    model, callbacks = library.pruned(
        model, 2 * steps // 3, max(1, steps // 40)
    )
    decay = keras.optimizers.schedules.CosineDecay(0.05, steps)
    compiled(keras, model, False, decay)
    for epoch in range(FLAGS.epochs):
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(images.train))
        split = images.train.take(order)
        x = images.augmentation(split.x, rng)
        model.fit(
            images.preprocessing(x),
            split.y,
            batch_size=FLAGS.batch_size,
            initial_epoch=epoch,
            epochs=epoch + 1,
            callbacks=callbacks,
            shuffle=False,
            verbose=2,
        )
    test = batches.Split(images.preprocessing(images.test.x), images.test.y)
    accuracy = model.evaluate(test.x, test.y, batch_size=256, verbose=0)[1]
    return {"accuracy": 100 * accuracy, "zeros": library.zeros(model)}


def measure(name, part):
    """One part of the results of one library: steps, or a run of training."""
    from tfprune import datasets

    images = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    library = LIBRARIES[name]()
    found = {"versions": library.versions}
    if part.startswith("seed"):
        seed = int(part.removeprefix("seed"))
        return found | training(library, images, seed)
    for mode, jit in (("graph", False), ("jit", True)):
        found[mode] = overhead(library, images, jit)
    return found


def main(argv):
    del argv
    if FLAGS.one:
        if "steps" in FLAGS.one and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print("RESULT " + json.dumps(measure(*FLAGS.one.split(":"))))
        return
    pythons = {"tfprune": sys.executable, "tfmot": FLAGS.tfmot_python}
    if not FLAGS.tfmot_python:
        print("tfmot is skipped: pass its interpreter as --tfmot_python")
        del pythons["tfmot"]
    seeds = FLAGS.seeds if FLAGS.epochs else []
    # The libraries alternate, too.
    steps = [f"steps{number}" for number in range(FLAGS.processes)]
    parts = steps + [f"seed{seed}" for seed in seeds]
    settings = {name: FLAGS[name].value for name in SETTINGS}
    results = {name: {} for name in pythons}
    for part in parts:
        for name, python in pythons.items():
            path = pathlib.Path(FLAGS.out) / f"{name}-{part}.json"
            if not path.exists():
                row = {"settings": settings} | run(name, python, part)
                write(path, json.dumps(row, indent=2) + "\n")
            row = json.loads(path.read_text())
            if row["settings"] != settings:
                raise app.UsageError(
                    f"{path} was made with {row['settings']}. Choose another "
                    "--out, or the same flags."
                )
            results[name][part] = row
            print(name, part, json.dumps(row), flush=True)
    if FLAGS.table:
        write(FLAGS.table, to_markdown(results, settings))


def to_markdown(results, settings):
    """The measured libraries side by side, one row for each."""
    rows, packages = [], {}
    for name, parts in results.items():
        steps = [row for part, row in parts.items() if "steps" in part]
        runs = [row for part, row in parts.items() if "seed" in part]
        row = [name]
        for mode in ("graph", "jit"):
            ratios = np.concatenate([found[mode]["ratios"] for found in steps])
            low, middle, high = np.percentile(ratios, (25, 50, 75))
            each = [f"{found[mode]['ratio']:.2f}" for found in steps]
            row.append(f"{middle:.3f} ({low:.2f} to {high:.2f})")
            row.append(", ".join(each))
        for key, unit in (("accuracy", " %"), ("zeros", "")):
            values = [run[key] for run in runs]
            row.append(
                f"{np.mean(values):.2f}{unit} "
                f"({min(values):.2f} to {max(values):.2f})"
                if values
                else "-"
            )
        rows.append("| " + " | ".join(row) + " |")
        packages |= steps[0]["versions"]
    machine = (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    )
    versions = ", ".join(f"{name} {packages[name]}" for name in packages)
    return (
        "# What pruning costs inside `fit`\n\n"
        "CPU time of a pruned step relative to a plain one: the median over "
        f"all rounds of {settings['steps']} steps (quartiles), with "
        f"{settings['rounds']} rounds in each of {settings['processes']} "
        "single-threaded processes, and the median of each process. Batch "
        f"{settings['batch_size']}, ResNet-20 on {settings['dataset']}. The "
        f"limit with jit is {LIMIT:.2f}. Accuracy on the test images after "
        f"{settings['epochs']} epochs from scratch at {SPARSITY:.0%} zeros, "
        f"seeds {', '.join(settings['seeds'])}. {versions}; {machine}. Written "
        "by `benchmarks/fit_overhead.py`.\n\n"
        "| library | step, graph | processes | step, jit | processes | "
        "accuracy | zeros in kernels |\n"
        "|---|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def write(path, text):
    """Writes a file under a temporary name, then renames it."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    temporary.rename(path)


def run(name, python, part):
    """Measures one part of a library in a process of its own."""
    root = pathlib.Path(__file__).resolve().parents[1]
    names = "dataset data_dir rounds steps batch_size epochs".split()
    options = [f"--{n}={FLAGS[n].value}" for n in names if FLAGS[n].value]
    threads = dict.fromkeys(_THREADS, "1") if "steps" in part else {}
    done = subprocess.run(
        [python, __file__, f"--one={name}:{part}", *options],
        env=os.environ | {"PYTHONPATH": str(root)} | threads,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = [x for x in done.stdout.splitlines() if x.startswith("RESULT ")]
    if done.returncode or not lines:
        raise RuntimeError(
            f"{name} stopped with {done.returncode}:\n{done.stdout[-2000:]}"
        )
    return json.loads(lines[0].removeprefix("RESULT "))


if __name__ == "__main__":
    app.run(main)
