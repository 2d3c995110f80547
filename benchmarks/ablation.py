"""What each part of the records' training is worth, one change at a time.

A ResNet-20 is trained on MiniCIFAR, pruned to a share of its parameters and
trained again. The first row does it as `examples/records.py` does: channels by
Taylor expansion, ranked globally, removed at once, then SGD along a cosine with
the dense network as teacher. Each other row differs in one thing.

  python benchmarks/ablation.py --data_dir=DATA \\
      --table=docs/results/ablation.md

Each run is stored; if the script is started again, it continues with those
that are missing.
"""

import dataclasses
import functools
import json
import pathlib
import statistics
import time

import keras
import numpy as np
import results
from absl import app
from absl import flags

import tfprune
from tfprune import datasets
from tfprune import training
from tfprune import zoo
from tfprune.core import tables
from tfprune.core.files import atomic
from tfprune.datasets import batches

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "folder of MiniCIFAR")
flags.DEFINE_list("seeds", ["0", "1", "2"], "of weights, channels and batches")
flags.DEFINE_integer("epochs", 20, "after pruning; twice as many before")
flags.DEFINE_float("share", 0.35, "of the parameters that stay")
flags.DEFINE_string("out", "build/bench/ablation", "folder of finished runs")
flags.DEFINE_string("table", "", "also write the table to this file")

BATCH, SELECTION, FITTED = 64, 2048, 1024


@dataclasses.dataclass(frozen=True)
class Way:
    """How a network is pruned and trained again.

    Attributes:
        criterion, ranking, channel_multiple: as for `tfprune.prune`.
        reconstruct: whether to refit the weights that read kept channels.
        gradual: whether channels are removed during the first half of
            training.
        teacher: whether the dense network teaches.
        label_weight: `float`, of the labels beside the teacher.
        rate: `float`, the learning rate at first.
        bfloat16: whether to train in it.
        scratch: whether to train from new weights.
        longer: `float`, times as many epochs.
    """

    criterion: str = "taylor"
    ranking: str = "global"
    channel_multiple: int = 1
    reconstruct: bool = False
    gradual: bool = False
    teacher: bool = True
    label_weight: float = 0.3
    rate: float = 0.05
    bfloat16: bool = False
    scratch: bool = False
    longer: float = 1.0


WAYS = {
    "as the records": Way(),
    "channels by l1": Way(criterion="l1"),
    "channels by chance": Way(criterion="random"),
    "ranked within groups": Way(ranking="group"),
    "channels in eights": Way(channel_multiple=8),
    "weights refitted first": Way(reconstruct=True),
    "removed during training": Way(gradual=True),
    "labels alone": Way(teacher=False),
    "teacher alone": Way(label_weight=0.0),
    "a fifth of the learning rate": Way(rate=0.01),
    "bfloat16": Way(bfloat16=True),
    "new weights": Way(scratch=True),
    "three times the epochs": Way(longer=3.0),
}


class Study:
    """What all ways of one seed share: images and the dense network.

    Args:
        seed: `int`.
    """

    def __init__(self, seed):
        self.seed = seed
        self.data = datasets.load("minicifar", FLAGS.data_dir, seed=seed)
        self.prepare = self.data.preprocessing
        path = pathlib.Path(FLAGS.out) / f"dense-{FLAGS.epochs}-{seed}.keras"
        if path.exists():
            self.dense = keras.saving.load_model(path, compile=False)
            return
        keras.utils.set_random_seed(seed)
        classes = int(self.data.test.y.max()) + 1
        model = training.fast(zoo.build("resnet20", classes=classes))
        self.fit(model, 2 * FLAGS.epochs, 0.1)
        self.dense = training.plain(model)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.dense.save(path)

    def batches(self):
        """Augmented training images, in an order that the seed decides."""
        return batches.Batches(
            *(self.data.train, BATCH, self.prepare),
            *(self.data.augmentation, self.seed),
        )

    def fit(self, model, epochs, rate, callbacks=()):
        """Trains a model, or what teaches it."""
        train = self.batches()
        schedule = keras.optimizers.schedules.CosineDecay(
            rate, epochs * len(train)
        )
        optimizer = keras.optimizers.SGD(schedule, 0.9, nesterov=True)
        model.compile(optimizer, cross_entropy(), jit_compile=False)
        given = {"callbacks": list(callbacks), "verbose": 0}
        model.fit(train, epochs=epochs, shuffle=False, **given)

    def tested(self, model):
        """Accuracy on the test images."""
        found = model.predict(self.prepare(self.data.test.x), verbose=0)
        return float(np.mean(found.argmax(1) == self.data.test.y))

    def chosen(self):
        """Training images by which channels are chosen."""
        rng = np.random.default_rng(self.seed)
        chosen = rng.permutation(len(self.data.train))[:SELECTION]
        x, y = self.data.train.x[chosen], self.data.train.y[chosen]
        return self.prepare(x), y

    def run(self, way):
        """Prunes and trains by a way; a `dict` of what came out."""
        keras.utils.set_random_seed(self.seed)
        began = time.process_time()
        self.dense.compile(loss=cross_entropy())
        small = self.wrapped(way) if way.gradual else self.pruned(way)
        learnt = not way.gradual and not way.scratch
        before = self.tested(small) if learnt else None
        if way.scratch:
            small = keras.models.clone_model(small)
        dtype = "mixed_bfloat16" if way.bfloat16 else None
        learner = small = training.fast(small, dtype)
        if way.teacher:
            learner = tfprune.distill(small, self.dense, 4.0, way.label_weight)
        epochs, callbacks = round(way.longer * FLAGS.epochs), []
        if way.gradual:
            steps = len(self.batches()) * epochs
            ramp = tfprune.schedules.Polynomial(0.0, 1.0, 0, steps // 2)
            callbacks = [tfprune.PruneOnSchedule(ramp, budget(), self.chosen())]
        self.fit(learner, epochs, way.rate, callbacks)
        if way.gradual:
            small = tfprune.strip(small)
        small = training.plain(small)
        return {
            "before": before,
            "accuracy": self.tested(small),
            "params": tfprune.cost(small).params,
            "macs": tfprune.cost(small).macs,
            "cpu_seconds": time.process_time() - began,
        }

    def pruned(self, way):
        """The dense network with its channels removed at once."""
        x, y = self.chosen()
        small = tfprune.prune(
            *(self.dense, budget(), way.criterion, (x, y), way.ranking),
            reconstruct=x[:FITTED] if way.reconstruct else None,
            channel_multiple=way.channel_multiple,
        )
        return tfprune.recalibrate(small, x)

    def wrapped(self, way):
        """The dense network, from which training will remove channels."""
        method = tfprune.methods.MaskedChannels(
            way.criterion, "params", way.ranking
        )
        return tfprune.wrap(self.dense, method)


def budget():
    return tfprune.Budget(params=FLAGS.share)


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def finished(name, seed, study):
    """The result of a way with a seed, measured if it is not there yet.

    Args:
        name: `str`, of `WAYS`.
        seed: `int`.
        study: function without arguments that returns the `Study`.
    """
    file = f"{name.replace(' ', '_')}-{FLAGS.epochs}-{FLAGS.share}-{seed}.json"
    path = pathlib.Path(FLAGS.out) / file
    if not path.exists():
        found = study().run(WAYS[name])
        atomic.write({path: json.dumps(found).encode()})
        print(path.stem, path.read_text(), flush=True)
    return json.loads(path.read_text())


def main(argv):
    del argv
    found = {name: [] for name in WAYS}
    dense = []
    for seed in map(int, FLAGS.seeds):
        study = functools.cache(functools.partial(Study, seed))
        dense.append(finished_dense(seed, study))
        for name, rows in found.items():
            rows.append(finished(name, seed, study))
    results.publish(page(found, dense), FLAGS.table)


def finished_dense(seed, study):
    """The accuracy of the dense network of a seed and its size."""
    path = pathlib.Path(FLAGS.out) / f"dense-{FLAGS.epochs}-{seed}.json"
    if not path.exists():
        own = study()
        cost = tfprune.cost(own.dense)
        facts = {
            "accuracy": own.tested(own.dense),
            "params": cost.params,
            "macs": cost.macs,
            "images": [len(own.data.train), len(own.data.test)],
        }
        atomic.write({path: json.dumps(facts).encode()})
    return json.loads(path.read_text())


def page(found, dense):
    """The page of results.

    Args:
        found: `dict` from the name of each way to its results, seed by seed.
        dense: list of the dense networks' results.
    """
    base, rows = next(iter(found.values())), []
    for name, runs in found.items():
        accuracy = [run["accuracy"] for run in runs]
        ahead = [
            100 * (run["accuracy"] - own["accuracy"])
            for run, own in zip(runs, base, strict=True)
        ]
        before = [run["before"] for run in runs if run["before"] is not None]
        error = statistics.stdev(ahead) / len(ahead) ** 0.5
        rows.append(
            (
                name,
                spread(accuracy),
                "" if runs is base else f"{statistics.mean(ahead):+.2f}",
                "" if runs is base else f"{error:.2f}",
                f"{statistics.mean(before):.2%}" if before else "",
                *(
                    f"{mean(runs, what) / mean(dense, what):.1%}"
                    for what in ("params", "macs")
                ),
                f"{mean(runs, 'cpu_seconds'):.0f}",
            )
        )
    header = (
        *("one change", "accuracy", "difference", "its error"),
        *("before training", "params", "MACs", "CPU s"),
    )
    train, test = dense[0]["images"]
    own = ", ".join(f"{each['accuracy']:.2%}" for each in dense)
    return (
        "# What each part of the training is worth\n\n"
        f"ResNet-20 on MiniCIFAR ({train:,} images to train, {test:,} to "
        f"test), seeds {', '.join(FLAGS.seeds)}: {2 * FLAGS.epochs} epochs "
        f"dense ({own}), then pruned to {FLAGS.share:.0%} of the parameters "
        f"and trained for {FLAGS.epochs} epochs. Accuracy on the test images "
        "after the last epoch, mean (least to most); the difference to the "
        "first row in points, seed by seed, with its standard error; "
        "`before training`, after recalibration alone. The first row is how "
        "`examples/records.py` prunes and trains; each other row differs in "
        f"what it names. {_of_teachers(base, dense)}\n\n"
        f"{tables.Table(header, tuple(rows)).to_markdown()}\n"
        f"{results.footer('ablation.py')}\n"
    )


def _of_teachers(taught, dense):
    """What to make of a teacher that is no better than its students."""
    if mean(taught, "accuracy") < mean(dense, "accuracy"):
        return ""
    return (
        f"The dense networks ({mean(dense, 'accuracy'):.2%} on average), "
        "trained so briefly, are no better than what they teach, so compare "
        "the rows about teachers and labels with care: those of the records "
        "are trained to the end."
    )


def mean(runs, what):
    return statistics.mean(run[what] for run in runs)


def spread(values):
    """The mean of fractions, with the least and the most."""
    least, most = min(values), max(values)
    return f"{statistics.mean(values):.2%} ({least:.2%} to {most:.2%})"


if __name__ == "__main__":
    app.run(main)
