"""Is training limited by its input? Images per second of both.

Measures the images per second of each way to make augmented batches, and those
of the training of a network. Rounds alternate between them, and figures are
medians of ratios within a round, so that the machine's speed cancels out. A
ratio well above 1 means that training never waits for its input.

  python benchmarks/input_speed.py --table=docs/results/input_speed.md
"""

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
    write(rounds[1:], sources, models)  # The first round includes compilation.


def _endless(source):
    while True:
        for i in range(len(source)):
            yield source[i]
        source.on_epoch_end()


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


def write(rounds, sources, models):
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
        f"backend {keras.backend.backend()}, "
        f"{results.footer('input_speed.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
