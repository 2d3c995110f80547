"""What the studies have in common: flags, images, dense networks, results.

A study trains one dense network for each seed, and every row of its table
starts from that of its seed. Networks and rows lie in `--out`; what is found
there is not made again, so a study that was stopped goes on where it was.
"""

import json
import pathlib
import statistics

import keras
from absl import app
from absl import flags

from tfprune import batches
from tfprune import data
from tfprune import evaluation
from tfprune import report
from tfprune import zoo
from tfprune.export import files

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "resnet20", "network of tfprune.zoo")
flags.DEFINE_string("arguments", "{}", "of its builder, as JSON")
flags.DEFINE_string("dataset", "minicifar", "data set of tfprune.data")
flags.DEFINE_string("data_dir", None, "where the data set lies")
flags.DEFINE_list("seeds", ["0", "1", "2"], "a dense network for each")
flags.DEFINE_integer("dense_epochs", 12, "of the dense networks")
flags.DEFINE_float("dense_rate", 0.05, "learning rate at first, dense")
flags.DEFINE_integer("batch_size", 64, "images per step")
flags.DEFINE_string("table", "", "also write the table to this file")
flags.DEFINE_bool("smoke", False, "a minute on digits, to see that it runs")
SETTINGS = (
    "model arguments dataset dense_epochs dense_rate batch_size epochs "
    "learning_rate"
).split()


class Study:
    """The images and the dense network of one seed.

    Args:
        images: a `tfprune.data.Dataset`.
        seed: `int`, of the network's weights and the order of the images.

    Attributes:
        val, test: `(x, y)`, ready for the network; nothing learns from them.
        model: the dense network. Copy it (`fresh`) before you train it.
        accuracy: `float`, of it on the test images.
    """

    def __init__(self, images, seed):
        self.images, self.seed = images, seed
        self.val, self.test = (
            (images.preprocessing(split.x), split.y)
            for split in (images.val, images.test)
        )
        name = f"{FLAGS.model}-{images.name}-{FLAGS.dense_epochs}-seed{seed}"
        path = pathlib.Path(FLAGS.out) / f"dense-{name}.keras"
        if not path.exists():
            temporary = path.with_name("tmp-" + path.name)
            self._dense().save(temporary)
            temporary.rename(path)
        self.model = keras.saving.load_model(path, compile=False)
        self.model.compile(loss=_loss(self.model))  # some criteria want it
        self.accuracy = self.tested(self.model)

    def fresh(self):
        """A copy of the dense network."""
        copy = keras.models.clone_model(self.model)
        copy.set_weights(self.model.get_weights())
        return copy

    def tested(self, model):
        """Its accuracy on the test images, `float` in [0, 1]."""
        return evaluation.accuracies([model], self.test)[0]

    def batches(self):
        """Training images, augmented, in the same order for every network."""
        images = self.images
        return batches.Batches(
            images.train,
            FLAGS.batch_size,
            images.preprocessing,
            images.augmentation,
            seed=self.seed,
        )

    def sgd(self, epochs, rate):
        """The optimizer: momentum, weight decay, a cosine to 0."""
        steps = epochs * len(self.batches())
        return keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(rate, steps),
            momentum=0.9,
            nesterov=True,
            weight_decay=5e-4,
        )

    def train(self, model, epochs, rate):
        """Trains a plain network in place."""
        model.compile(self.sgd(epochs, rate), _loss(model))
        model.fit(self.batches(), epochs=epochs, shuffle=False, verbose=0)

    def _dense(self):
        keras.utils.set_random_seed(self.seed)
        model = zoo.build(
            FLAGS.model,
            classes=self.images.classes,
            input_shape=self.images.shape,
            **json.loads(FLAGS.arguments),
        )
        self.train(model, FLAGS.dense_epochs, FLAGS.dense_rate)
        return model


def _loss(model):
    softmax = keras.activations.softmax
    return keras.losses.SparseCategoricalCrossentropy(
        from_logits=model.layers[-1].activation is not softmax
    )


def rows(todo, run, settings=(), load=None):
    """Runs what has no result yet; gives all results, in the order of `todo`.

    Args:
        todo: pairs of a file name and a tuple, the arguments of a row.
        run: function of a `Study` and these arguments that gives a `dict`.
            It may fail; rows before it are kept.
        settings: names of more flags that a row depends on.
        load: function without arguments that gives the images; by default
            those of `--dataset`.

    Yields:
        Each row with its settings and what it ran on.

    Raises:
        app.UsageError: If a row that was found has other settings.
    """
    out = pathlib.Path(FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    settings = {k: FLAGS[k].value for k in (*SETTINGS, *settings)}
    images = load() if load else data.load(FLAGS.dataset, FLAGS.data_dir)
    study = None
    for seed in map(int, FLAGS.seeds):
        for name, arguments in todo:
            path = out / f"{name}-seed{seed}.json"
            if not path.exists():
                if study is None or study.seed != seed:
                    study = Study(images, seed)
                keras.utils.set_random_seed(seed)
                row = {"seed": seed, "dense": study.accuracy}
                row |= run(study, *arguments)
                row |= {"settings": settings}
                row |= {"environment": report.environment()}
                files.write({path: json.dumps(row, indent=2).encode()})
            row = json.loads(path.read_text())
            if row["settings"] != settings:
                raise app.UsageError(
                    f"{path} was made with {row['settings']}. Choose another "
                    "--out, or the same flags."
                )
            print(json.dumps({k: row[k] for k in row if k not in _LONG}))
            yield row


_LONG = ("settings", "environment")


def facts(row):
    """The settings and versions of a row as a list, markdown."""
    found = row["settings"] | row["environment"]["versions"]
    found["machine"] = row["environment"]["machine"]
    return "\n".join(f"- {name}: {value}" for name, value in found.items())


def mean(rows, key):
    return statistics.mean(row[key] for row in rows)


def spread(rows, key):
    """The mean of a share over the seeds, and the least and the most."""
    values = [row[key] for row in rows]
    return f"{mean(rows, key):.2%} ({min(values):.2%} to {max(values):.2%})"


def write(text):
    """Prints a table, and writes it to `--table` if there is one."""
    print(text)
    if FLAGS.table:
        pathlib.Path(FLAGS.table).parent.mkdir(parents=True, exist_ok=True)
        files.write({FLAGS.table: text.encode()})
