"""Images and the dense network that every row of a seed starts from.

A dense network of the zoo is trained once for each seed and saved beside the
rows in `--out`; published weights (`--weights`) and `.keras` files are used as
they are. Methods learn from `train` and choose by `val`; `test` is only for the
table.
"""

import functools
import hashlib
import json
import pathlib

import common
import keras
import numpy as np
from absl import flags

import tfprune
from tfprune import datasets
from tfprune import zoo
from tfprune.datasets import batches
from tfprune.reports import evaluation
from tfprune.zoo import checkpoints

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(common)
flags.DEFINE_string("arguments", "{}", "of the zoo's builder, as JSON")
flags.DEFINE_string("weights", "", "the .npz of the published --model")
flags.DEFINE_string("validation", "held_out", "as in tfprune.datasets.load")
flags.DEFINE_integer("dense_epochs", 12, "of a dense network of the zoo")
flags.DEFINE_float("dense_rate", 0.05, "learning rate at first, dense")
flags.DEFINE_float("learning_rate", 0.05, "at first, then a cosine to 0")
flags.DEFINE_integer("batch_size", 64, "images per step")
flags.DEFINE_integer("selection", 2000, "training images to select with")
flags.DEFINE_integer("train", 0, "training images to use, 0 for all")
flags.DEFINE_integer("test", 0, "test images to use, 0 for all")
DENSE = "model arguments dataset validation train batch_size".split()
DENSE += ["dense_epochs", "dense_rate"]
SETTINGS = (*DENSE, "selection", "test")
TRAINING = (*SETTINGS, "epochs", "learning_rate")


class Study:
    """The images and the dense network of one seed.

    Args:
        images: a `tfprune.datasets.Dataset`.
        seed: `int`, of the network's weights and the order of the images.

    Attributes:
        prepare: `tfprune.datasets.Preprocessing` of the network's images.
        order: the training images, shuffled; the first ones are selected.
        selection, val, test: `(x, y)`, ready for the network.
        model: the dense network. Copy it (`fresh`) before you train it.
        loss: its loss.
        accuracy: `float`, of it on the test images.
    """

    def __init__(self, images, seed):
        self.images, self.seed = images, seed
        self.prepare = images.preprocessing
        if FLAGS.weights:
            self.prepare = checkpoints.get(FLAGS.model).preprocessing
        count = len(images.train)
        self.order = np.random.default_rng(seed).permutation(count)
        self.order = self.order[: FLAGS.train or None]
        self.test = self.prepared(images.test, slice(FLAGS.test or None))
        self.model = self._network()
        self.loss = loss(self.model)
        self.model.compile(loss=self.loss)  # Some criteria need it.
        self.accuracy = self.tested(self.model)

    @property
    def val(self):
        return self.prepared(self.images.val)

    @property
    def selection(self):
        return self.training(0, FLAGS.selection)

    def training(self, begin, end):
        """`(x, y)` of the shuffled training images from `begin` to `end`."""
        return self.prepared(self.images.train, self.order[begin:end])

    def prepared(self, split, chosen=slice(None)):
        return self.prepare(split.x[chosen]), split.y[chosen]

    def fresh(self):
        """A copy of the dense network."""
        return copy(self.model)

    def tested(self, model):
        """Returns a model's accuracy on the test images, `float` in [0, 1]."""
        return evaluation.accuracies([model], self.test)[0]

    def batches(self):
        """Returns augmented training images, in the same order every time."""
        split = self.images.train
        if FLAGS.train:
            split = split.take(self.order)
        augmentation = self.images.augmentation
        return batches.Batches(
            split, FLAGS.batch_size, self.prepare, augmentation, self.seed
        )

    def sgd(self, epochs, rate):
        """Returns SGD with weight decay; the rate is a cosine to 0."""
        steps = max(epochs * len(self.batches()), 1)
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
        return keras.optimizers.SGD(rate, 0.9, True, weight_decay=5e-4)

    def train(self, model, epochs, rate, name=None):
        """Trains in place; with a name, resumes after its last epoch."""
        model.compile(self.sgd(epochs, rate), self.loss)
        data, options = self.batches(), {"shuffle": False, "verbose": 0}
        if name:
            state = common.path(f"training-{name}-seed{self.seed}")
            backup = tfprune.callbacks.Backup(state, data=data)
            options["callbacks"] = [backup]
        model.fit(data, epochs=epochs, **options)

    def _network(self):
        if FLAGS.weights:
            with np.load(FLAGS.weights) as arrays:
                return checkpoints.restore(FLAGS.model, dict(arrays))
        path = pathlib.Path(FLAGS.model).expanduser()
        if path.suffix != ".keras":
            used = repr([FLAGS[name].value for name in DENSE]).encode()
            key = hashlib.sha256(used).hexdigest()[:8]
            name = f"dense-{FLAGS.model}-{key}-seed{self.seed}.keras"
            path = common.path(name)
            if not path.exists():
                save(self._dense(), path)
        return load(path)

    def _dense(self):
        keras.utils.set_random_seed(self.seed)
        model = zoo.build(
            FLAGS.model,
            classes=self.images.classes,
            input_shape=self.images.shape,
            **json.loads(FLAGS.arguments),
        )
        self.loss = loss(model)
        self.train(model, FLAGS.dense_epochs, FLAGS.dense_rate, "dense")
        return model


def loss(model):
    """Returns the loss for class indices, of logits or of probabilities."""
    softmax = keras.activations.softmax
    last = getattr(model.layers[-1], "activation", None)
    return keras.losses.SparseCategoricalCrossentropy(last is not softmax)


def save(model, path):
    """Writes a `.keras` file without an optimizer, whole or not at all."""
    temporary = path.with_name("tmp-" + path.name)
    copy(model).save(temporary)
    temporary.rename(path)


def copy(model):
    """Copies a model with its weights."""
    new = keras.models.clone_model(model)
    new.set_weights(model.get_weights())
    return new


def load(path):
    return keras.saving.load_model(path, compile=False)


def rows(todo, run, settings=TRAINING, source=None):
    """As `common.rows`, with a `Study` for each seed.

    Args:
        todo, run, settings: as there.
        source: function without arguments that returns the images; by default
            those of `--dataset`.

    Yields:
        Each row; `row["dense"]` is the accuracy of the dense network.
    """
    source = functools.cache(source or images)

    def start(seed):
        return Study(source(), seed)

    def with_dense(study, *arguments):
        return {"dense": study.accuracy, **run(study, *arguments)}

    yield from common.rows(todo, start, with_dense, settings)


def images():
    """The images of `--dataset`."""
    return datasets.load(
        FLAGS.dataset, FLAGS.data_dir, validation=FLAGS.validation
    )
