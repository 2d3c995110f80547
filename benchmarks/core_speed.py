"""Networks of half of the multiply-adds, and networks pruned for a core.

Dense networks with published weights are pruned to half of their multiply-adds,
and to 1 / 1.8 of their instructions on each core, by channels and perhaps whole
blocks. All are trained on in the same way. With the sources of TFLite Micro,
their int8 files run on the emulated Cortex-M4 and M55, which count their
instructions.

  python benchmarks/core_speed.py --tflite_micro=../tflite-micro \\
      --data_dir=DATA --resnet8=resnet8.npz --ds_cnn=dscnn.npz \\
      --speech=features.npz --table=docs/results/core_speed.md

Each network is stored; if the script is started again, it continues with those
that are missing.
"""

import itertools
import json
import math
import pathlib
import statistics
import sys

import compress_tasks
import keras
import numpy as np
import results
from absl import app
from absl import flags

# The tools are not installed.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import tfprune
from tfprune import training
from tfprune.core import tables
from tfprune.core.files import atomic
from tfprune.costs import counting
from tfprune.graph import read
from tools import firmware_library
from tools import layer_costs

FLAGS = flags.FLAGS
flags.DEFINE_list("tasks", ["keywords", "cifar10"], "which")
flags.DEFINE_list("ways", [], "train these networks only, and no page")
flags.DEFINE_list("seeds", ["0", "1", "2"], "of the data's split and order")
flags.DEFINE_string("data_dir", None, "folder of CIFAR-10")
flags.DEFINE_string("resnet8", "", "published weights of ResNet-8")
flags.DEFINE_string("ds_cnn", "", "published weights of DS-CNN")
flags.DEFINE_string("speech", "", "features x and classes y for DS-CNN")
flags.DEFINE_string("tflite_micro", "", "sources of TFLite Micro")
flags.DEFINE_string("build", "build/firmware", "folder of objects")
flags.DEFINE_string("out", "build/bench/core_speed", "folder of networks")
flags.DEFINE_string("table", "", "also write a table to this file")

CORES = ("cortex-m4", "cortex-m55")
# Epochs of training after pruning.
EPOCHS = {"keywords": 400, "cifar10": 5}
RATES = {"keywords": 3e-3, "cifar10": 1e-3}
# By what the predicted instructions shall shrink, so that those counted shrink
# by 1.8, and the depth. On validation data, DS-CNN is no better without one of
# its blocks; ResNet-8 has one that can go.
FACTORS = {
    "keywords": {"cortex-m4": 1.85, "cortex-m55": 1.85},
    "cifar10": {"cortex-m4": 1.8, "cortex-m55": 1.75},
}
DEPTHS = {"keywords": None, "cifar10": 0}
NETWORKS = {"keywords": "DS-CNN", "cifar10": "ResNet-8"}
DATA = {
    "keywords": "1,000 samples of speech, 400 to train, 400 to test; trained "
    "on mixtures of two samples, of which the dense network is the teacher",
    "cifar10": "CIFAR-10, 45,000 images to train, 10,000 to test; trained on "
    "the labels",
}


def budgets(name):
    """The networks that are compared, by name."""
    return {
        "dense": None,
        "half of the multiply-adds": tfprune.Budget(macs=0.5),
        **{
            f"pruned for {core}": tfprune.Budget(
                depth=DEPTHS[name], latency=1 / factor, target=core
            )
            for core, factor in FACTORS[name].items()
        },
    }


def made(name, seed, way, folder):
    """A network that was trained, and its figures, from disk if it is there."""
    path = folder / f"{name}-{seed}-{way.replace(' ', '_')}.keras"
    facts = path.with_suffix(".json")
    if not facts.exists():
        keras.utils.set_random_seed(seed)
        task = compress_tasks.TASKS[name](FLAGS, seed)
        small, budget = task.model, budgets(name)[way]
        if budget is not None:
            few = task.train[0] if isinstance(task.train, tuple) else None
            small = tfprune.prune(task.model, budget, data=few)
            small = trained(small, task, name, seed)
        small.save(path)
        sample = task.validation[0][:100]
        tflite = path.with_suffix(".tflite")
        tfprune.export_tflite(small, tflite, "int8", sample)
        found = {
            "float": accuracy(small, *task.test),
            "int8": tfprune.evaluate_tflite(tflite, task.test, progress=False),
        }
        atomic.write({facts: json.dumps(found).encode()})
        print(path.stem, found, flush=True)
    return path, json.loads(facts.read_text())


def accuracy(model, x, y):
    return float(np.mean(model.predict(x, verbose=0).argmax(1) == y))


class Mixed(keras.utils.PyDataset):
    """Batches of 32 samples, most of them mixed with another one of the batch.

    A teacher can tell what any mixture is; of that there is no end, where
    samples are few.
    """

    def __init__(self, x, y, seed):
        super().__init__()
        self._x, self._y = x, y
        self._rng = np.random.default_rng(seed)

    def __len__(self):
        return math.ceil(len(self._x) / 32)

    def __getitem__(self, index):
        rows = self._rng.integers(len(self._x), size=32)
        share = self._rng.uniform(size=(32, *[1] * (self._x.ndim - 1)))
        share[self._rng.uniform(size=32) < 0.3] = 1
        x = self._x[rows]
        x = share * x + (1 - share) * self._rng.permutation(x)
        return x.astype("float32"), self._y[rows]


def trained(model, task, name, seed):
    """The model after Adam from a rate to 0 by a cosine."""
    model = training.fast(model)
    pupil, data = model, task.train
    if isinstance(data, tuple):
        pupil = tfprune.distill(model, task.model, 2.0, 0.0)
        data = Mixed(*data, seed)
    rate, epochs = RATES[name], EPOCHS[name]
    schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * len(data))
    pupil.compile(
        keras.optimizers.Adam(schedule),
        "sparse_categorical_crossentropy",
        jit_compile=False,
    )
    pupil.fit(data, epochs=epochs, shuffle=False, verbose=0)
    return training.plain(model)


def instructions(paths, folder):
    """Instructions of `.tflite` files by core, empty without sources."""
    if not FLAGS.tflite_micro:
        return {}
    found = {}
    for core in CORES:
        library = firmware_library.Library(
            FLAGS.tflite_micro, core, "cmsis-nn", FLAGS.build
        )
        program = layer_costs.Program(library, folder / core)
        # One by one, as a core reads short command lines only.
        costs = [program.measure([path])[0] for path in paths]
        found[core] = [cost.instructions for cost in costs]
    return found


def macs(path):
    graph = read.channel_graph(keras.models.load_model(path, compile=False))
    return counting.Meter(graph).macs(np.ones(graph.size, bool))


def spread(values):
    mean = f"{statistics.mean(values):.2%}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {100 * statistics.stdev(values):.2f}"


def table(name, folder):
    """The rows of a task."""
    cells = {
        way: [made(name, int(seed), way, folder) for seed in FLAGS.seeds]
        for way in budgets(name)
    }
    # Widths may differ from seed to seed, as the data do: those of the first.
    firsts = [found[0][0] for found in cells.values()]
    costs = instructions([p.with_suffix(".tflite") for p in firsts], folder)
    rows = []
    for i, (way, found) in enumerate(cells.items()):
        fewer = [f"{counts[0] / counts[i]:.2f}" for counts in costs.values()]
        rows.append(
            (
                way,
                f"{macs(firsts[i]) / macs(firsts[0]):.0%}",
                *(fewer or ["not counted"] * len(CORES)),
                spread([facts["float"] for _, facts in found]),
                spread([facts["int8"] for _, facts in found]),
            )
        )
    header = ("network", "multiply-adds", *CORES, "float", "int8")
    return tables.Table(header, tuple(rows))


def section(name, folder):
    """What the page says of a task."""
    found = table(name, folder).to_markdown()
    factors = ", ".join(
        f"1 / {factor} for {core}" for core, factor in FACTORS[name].items()
    )
    return (
        f"{DATA[name]}. {EPOCHS[name]} epochs after pruning at a rate of "
        f"{RATES[name]:g}, last epoch, seeds {', '.join(FLAGS.seeds)}. Limits "
        f"on latency: {factors}.\n\n{found}\n"
        f"{results.footer('core_speed.py')}\n"
    )


def _sections(path):
    """The sections of the page as it is: those of other tasks stay."""
    page = pathlib.Path(path)
    if not path or not page.exists():
        return {}
    sections = page.read_text().split("\n## ")[1:]
    return dict(each.split("\n\n", 1) for each in sections)


def main(argv):
    del argv
    folder = pathlib.Path(FLAGS.out).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if FLAGS.ways:
        for name, way in itertools.product(FLAGS.tasks, FLAGS.ways):
            for seed in FLAGS.seeds:
                made(name, int(seed), way, folder)
        return
    parts = _sections(FLAGS.table)
    for name in FLAGS.tasks:
        parts[NETWORKS[name]] = section(name, folder)
    results.publish(
        "# Pruned for a core\n\n"
        "How many times fewer instructions an inference takes than the dense "
        "network's, counted by qemu with CMSIS-NN, and test accuracies. "
        "Pruned for a core: `Budget(latency=, target=)`, "
        "which removes channels in the multiples of its kernels; ResNet-8 "
        "with `depth=0` as well, which takes out a whole block. On the "
        "kernels narrow layers cost almost what wide ones do, while a block "
        "that is gone costs nothing.\n"
        + "".join(f"\n## {name}\n\n{text}" for name, text in parts.items()),
        FLAGS.table,
    )


if __name__ == "__main__":
    app.run(main)
