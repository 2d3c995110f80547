"""What studies of small data sets have in common: images, dense networks.

A study trains one dense network for each seed, and every row of its table
starts from that of its seed. Networks lie beside the rows in `--out`.
"""

import functools
import hashlib
import json
import pathlib

import keras
import results
from absl import flags

from tfprune import batches
from tfprune import data
from tfprune import evaluation
from tfprune import zoo

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "resnet20", "network of tfprune.zoo")
flags.DEFINE_string("arguments", "{}", "of its builder, as JSON")
flags.DEFINE_string("dataset", "minicifar", "data set of tfprune.data")
flags.DEFINE_integer("dense_epochs", 12, "of the dense networks")
flags.DEFINE_float("dense_rate", 0.05, "learning rate at first, dense")
flags.DEFINE_integer("batch_size", 64, "images per step")
DENSE = "model arguments dataset dense_epochs dense_rate batch_size".split()
SETTINGS = (*DENSE, "epochs", "learning_rate")


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
        flags_of_it = repr([FLAGS[name].value for name in DENSE]).encode()
        key = hashlib.sha256(flags_of_it).hexdigest()[:8]
        name = f"dense-{FLAGS.model}-{key}-seed{seed}.keras"
        path = pathlib.Path(FLAGS.out) / name
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
    """As `results.rows`, with a `Study` for each seed.

    Args:
        todo, run: as there.
        settings: names of more flags that a row depends on.
        load: function without arguments that gives the images; by default
            those of `--dataset`.

    Yields:
        Each row; `row["dense"]` is the accuracy of the dense network.
    """
    load = functools.cache(
        load or (lambda: data.load(FLAGS.dataset, FLAGS.data_dir))
    )

    def start(seed):
        return Study(load(), seed)

    def with_dense(study, *arguments):
        return {"dense": study.accuracy, **run(study, *arguments)}

    yield from results.rows(todo, start, with_dense, (*SETTINGS, *settings))
