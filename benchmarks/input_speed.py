"""Is training limited by its input? Images per second of both.

Measures the images per second of each way to make augmented batches, and those
of the training of a network. Rounds alternate between them, and figures are
medians of ratios within a round, so that the machine's speed cancels out. A
ratio well above 1 means that training never waits for its input. Then trains on
`Batches` before and after `tfprune.training.reuse_memory`.

  python benchmarks/input_speed.py --table=docs/results/input_speed.md
"""

import resource
import statistics
import time

import keras
import numpy as np
import results
from absl import app
from absl import flags

from tfprune import datasets
from tfprune import zoo
from tfprune.core import tables
from tfprune.datasets import batches
from tfprune.training import reused_memory

FLAGS = flags.FLAGS
flags.DEFINE_list("models", ["resnet8", "resnet20"], "networks of tfprune.zoo")
flags.DEFINE_integer("images", 4000, "number of random 32 x 32 images")
flags.DEFINE_integer("batch_size", 64, "images per step")
flags.DEFINE_integer("rounds", 5, "measured rounds")
flags.DEFINE_integer("steps", 20, "steps in a round")
flags.DEFINE_string("table", "", "also write the table to this file")


def main(argv):
    del argv
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (FLAGS.images, 32, 32, 3), "uint8")
    split = batches.Split(x, rng.integers(0, 10, FLAGS.images))
    arguments = (split, FLAGS.batch_size, batches.Preprocessing(1 / 255))
    arguments += (batches.Augmentation(), 0)
    sources = {
        "Batches": _endless(batches.Batches(*arguments)),
        "tf_batches": iter(datasets.tf_batches(*arguments).repeat()),
    }
    models = {name: _compiled(name) for name in FLAGS.models}
    fixed = next(sources["Batches"])
    rounds = []
    for _ in range(FLAGS.rounds + 1):
        speeds = {
            name: _speed(lambda source=source: next(source))
            for name, source in sources.items()
        }
        for name, model in models.items():
            speeds[name] = _speed(lambda m=model: m.train_on_batch(*fixed))
        rounds.append(speeds)
    data = batches.Batches(
        split.take(slice(FLAGS.steps * FLAGS.batch_size)), *arguments[1:]
    )
    before, after = (
        {name: _epochs(model, data) for name, model in models.items()}
        for _ in _with_and_without()
    )
    # The first round includes compilation.
    write(rounds[1:], sources, models, memory(before, after))


def _with_and_without():
    """Yields twice; memory is reused the second time."""
    yield
    reused_memory.reuse_memory()
    yield


class _Epochs(keras.callbacks.Callback):
    """Notes the seconds of epochs, of which the system took some."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter(), _system()

    def on_epoch_end(self, epoch, logs=None):
        began, system = self._began
        taken = time.perf_counter() - began, _system() - system
        self.found.append(taken)


def _system():
    """Seconds that the system took for this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_stime


def _epochs(model, data):
    """`(images/s, the system's seconds a second)`, medians over the rounds."""
    epochs = _Epochs()
    model.fit(data, epochs=FLAGS.rounds + 1, verbose=0, callbacks=[epochs])
    pairs = epochs.found[1:]
    images = FLAGS.steps * FLAGS.batch_size
    return (
        statistics.median(images / seconds for seconds, _ in pairs),
        statistics.median(system / seconds for seconds, system in pairs),
    )


def memory(before, after):
    """A table of models, trained with and without memory that stays."""
    rows = tuple(
        (
            name,
            f"{before[name][0]:,.0f}",
            f"{after[name][0]:,.0f}",
            f"{after[name][0] / before[name][0]:.2f}",
            f"{before[name][1]:.2f}",
            f"{after[name][1]:.2f}",
        )
        for name in before
    )
    header = ("network", "images/s", "images/s, reused", "ratio")
    header += ("system", "system, reused")
    return tables.Table(header, rows)


def _endless(source):
    while True:
        for i in range(len(source)):
            yield source[i]
        source.epoch += 1


def _compiled(name):
    model = zoo.build(name, classes=10, input_shape=(32, 32, 3))
    logits = model.layers[-1].activation is not keras.activations.softmax
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    model.compile(keras.optimizers.SGD(0.01, 0.9), loss)
    return model


def _speed(step):
    """Images a second."""
    start = time.perf_counter()
    for _ in range(FLAGS.steps):
        step()
    return FLAGS.steps * FLAGS.batch_size / (time.perf_counter() - start)


def write(rounds, sources, models, memory):
    median = statistics.median
    cells = []
    for source in sources:
        line = [source, f"{median(r[source] for r in rounds):,.0f}"]
        for model in models:
            ratio = median(r[source] / r[model] for r in rounds)
            line.append(f"{ratio:.1f}")
        cells.append(tuple(line))
    header = ("input", "images/s", *(f"over a step of {m}" for m in models))
    text = (
        "# Input beside training\n\n"
        "Images per second of augmented batches that one process makes, and "
        "their ratio to the images per second of training; median of "
        f"{FLAGS.rounds} rounds of {FLAGS.steps} batches of "
        f"{FLAGS.batch_size}.\n\n"
        f"{tables.Table(header, tuple(cells)).to_markdown()}\n"
        "`fit` on `Batches`, before and after "
        "`tfprune.training.reuse_memory()`; system: seconds that the kernel "
        "took for the process, per second.\n\n"
        f"{memory.to_markdown()}\n"
        f"backend {keras.backend.backend()}, "
        f"{results.footer('input_speed.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
