"""The tasks of `benchmarks/compress.py`: a dense network and its data.

Each function returns a `Task`, given flags and a seed. Dense networks are
trained here, when they are asked for, unless flags name published weights. Test
data are used once, at the end; nothing is chosen on them.
"""

import dataclasses
import functools

import keras
import numpy as np

from tfprune import datasets
from tfprune import zoo
from tfprune.core import packages
from tfprune.datasets import batches
from tfprune.zoo import checkpoints

layers = keras.layers


@dataclasses.dataclass(frozen=True)
class Task:
    """A dense network and its data.

    Attributes:
        dense: function that returns the trained, compiled network.
        train: training data for `fit`.
        validation, test: `(x, y)`.
        epochs: `int`, training epochs of a smaller network.
        dense_epochs: `int`, training epochs of the dense network; nominal with
            published weights.
    """

    dense: object
    train: object
    validation: tuple
    test: tuple
    epochs: int
    dense_epochs: int

    @functools.cached_property
    def model(self):
        """The dense network, a `keras.Model`."""
        return self.dense()


def trained(build, train, epochs, rate=3e-3, loss=None, metrics=("accuracy",)):
    """A network of `build`, trained by Adam with cosine decay."""
    model = build()
    steps = epochs * (
        len(train)
        if hasattr(train, "__len__") and not isinstance(train, tuple)
        else -(-len(train[0]) // 32)
    )
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    model.compile(
        keras.optimizers.Adam(schedule),
        loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=list(metrics),
    )
    if isinstance(train, tuple):
        model.fit(*train, epochs=epochs, batch_size=32, verbose=0)
    else:
        model.fit(train, epochs=epochs, shuffle=False, verbose=0)
    return model


def images(name, build, flags, seed, epochs, dense_epochs, size=64, loss=None):
    """A data set of images, augmented, in batches of some size."""
    data = datasets.load(name, flags.data_dir, seed=seed)
    prepare = data.preprocessing
    train = batches.Batches(data.train, size, prepare, data.augmentation, seed)
    parts = [(prepare(p.x), p.y) for p in (data.val, data.test)]
    dense = functools.partial(trained, build, train, dense_epochs, loss=loss)
    return Task(dense, train, *parts, epochs, dense_epochs)


def digits(flags, seed):
    """ResNet-8 with an eighth of its channels, on 8x8 digits."""

    def conv(x, filters, strides=1):
        x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(
            x
        )
        return layers.BatchNormalization(momentum=0.9)(x)

    def block(x, filters):
        y = layers.ReLU()(conv(x, filters))
        return layers.ReLU()(x + conv(y, filters))

    def build():
        image = keras.Input((8, 8, 1))
        x = block(layers.ReLU()(conv(image, 24)), 24)
        x = block(layers.ReLU()(conv(x, 48, 2)), 48)
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(image, layers.Dense(10)(x), name="digits")

    return images("digits", build, flags, seed, 20, 15)


def minicifar(flags, seed):
    """ResNet-20 on the four classes of MiniCIFAR."""

    def build():
        return zoo.build("resnet20", classes=4)

    return images("minicifar", build, flags, seed, 30, 60)


def cifar10(flags, seed):
    """ResNet-8 of MLPerf Tiny, perhaps with its published weights.

    These have seen the images that are validation data here, so nothing can be
    chosen on them.
    """
    if not flags.resnet8:
        return images(
            "cifar10",
            lambda: zoo.build("resnet8"),
            flags,
            seed,
            epochs=10,
            dense_epochs=30,
            size=128,
            loss="sparse_categorical_crossentropy",  # It ends with a softmax.
        )
    name = "resnet8_mlperftiny_cifar10"
    data = datasets.load("cifar10", flags.data_dir, seed=seed)
    prepare = checkpoints.get(name).preprocessing
    train = batches.Batches(data.train, 128, prepare, data.augmentation, seed)
    parts = [(prepare(p.x), p.y) for p in (data.val, data.test)]
    dense = functools.partial(published, name, flags.resnet8)
    return Task(dense, train, *parts, 10, 30)


def published(name, path):
    """A network with published weights, from the file of these."""
    model = checkpoints.restore(name, dict(np.load(path)))
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def split(x, y, parts, seed):
    """Splits `(x, y)` at random into parts of the given sizes."""
    order = np.random.default_rng(seed).permutation(len(y))
    cuts = np.split(order, np.cumsum(parts)[:-1])
    return [(x[chosen], y[chosen]) for chosen in cuts]


def keywords(flags, seed):
    """DS-CNN of MLPerf Tiny on samples of speech features."""
    name = "dscnn_mlperftiny_kws"
    dense = functools.partial(published, name, flags.ds_cnn)
    with np.load(flags.speech) as arrays:
        x, y = arrays["x"], arrays["y"]
    prepare = checkpoints.get(name).preprocessing
    x = prepare(x.reshape(-1, 49, 10, 1).astype("float32"))
    parts = split(x, y.astype("int64"), (400, 200, len(y) - 600), seed)
    return Task(dense, *parts, 40, 60)


def _motions(seed):
    """BasicMotions: six channels of an accelerometer, four gestures."""
    aeon = packages.load("aeon.datasets", "dev", "The task of gestures")
    parts = []
    for name in ("train", "test"):
        x, y = aeon.load_basic_motions(split=name)
        classes = sorted(set(y))
        parts.append(
            (
                x.transpose(0, 2, 1).astype("float32") / 10,
                np.array([classes.index(label) for label in y]),
            )
        )
    (x, y), test = parts
    return *split(x, y, (28, len(y) - 28), seed), test


def gestures_cnn(flags, seed):
    """A 1D CNN on BasicMotions."""

    def build():
        inputs = keras.Input((100, 6))
        x = inputs
        for filters in (32, 64, 64):
            x = layers.Conv1D(filters, 5, 2, padding="same")(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.GlobalAveragePooling1D()(x)
        return keras.Model(inputs, layers.Dense(4)(x), name="gestures_cnn")

    train, *rest = _motions(seed)
    dense = functools.partial(trained, build, train, 60)
    return Task(dense, train, *rest, 60, 60)


def gestures_lstm(flags, seed):
    """An LSTM on BasicMotions."""

    def build():
        inputs = keras.Input((100, 6))
        x = layers.LSTM(32)(layers.AveragePooling1D(4)(inputs))
        return keras.Model(inputs, layers.Dense(4)(x), name="gestures_lstm")

    train, *rest = _motions(seed)
    dense = functools.partial(trained, build, train, 100)
    return Task(dense, train, *rest, 60, 100)


def autoencoder(flags, seed):
    """A dense autoencoder of digits, measured by its mean squared error."""

    def build():
        inputs = keras.Input((64,))
        x = inputs
        for units in (96, 48, 12, 48, 96):
            x = layers.Dense(units, activation="relu")(x)
        return keras.Model(inputs, layers.Dense(64)(x), name="autoencoder")

    data = datasets.load("digits", seed=seed)
    flat = [p.x.reshape(len(p), 64) for p in (data.train, data.val, data.test)]
    parts = [(x, x) for x in flat]
    dense = functools.partial(
        trained, build, parts[0], 60, loss="mse", metrics=["mse"]
    )
    return Task(dense, *parts, 60, 60)


TASKS = {
    "digits": digits,
    "minicifar": minicifar,
    "cifar10": cifar10,
    "keywords": keywords,
    "gestures_cnn": gestures_cnn,
    "gestures_lstm": gestures_lstm,
    "autoencoder": autoencoder,
}
