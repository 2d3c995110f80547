"""Small models around a few layers, for tests."""

import keras

from tfprune.costs import counting

IMAGE = (6, 6, 3)


def around(body, shape=IMAGE):
    """Input, a mixing layer of 6 channels, `body`, a reader, a classifier.

    Args:
        body: function from a tensor to a tensor.
        shape: tuple, the input's shape without the batch axis: `(F,)`,
            `(T, F)`, `(H, W, C)` or `(D, H, W, C)`.
    """
    inputs = keras.Input(shape)
    x = pointwise(6, shape)(inputs)
    return keras.Model(inputs, head(body(x)))


def pointwise(channels, shape=IMAGE, **kwargs):
    """A layer that mixes channels at each position."""
    if len(shape) == 1:
        return keras.layers.Dense(channels, **kwargs)
    return CONV[len(shape) - 1](channels, 1, **kwargs)


def head(x):
    """A reader, then a classifier of two classes."""
    rank = len(x.shape)
    if rank > 2:
        x = CONV[rank - 2](4, 1, activation="relu")(x)
        x = keras.layers.Flatten()(x)
    return keras.layers.Dense(2)(x)


CONV = {
    1: keras.layers.Conv1D,
    2: keras.layers.Conv2D,
    3: keras.layers.Conv3D,
}


def multiply_adds(graph, prefix, keep=None):
    """Multiply-adds of the first layer whose path begins with `prefix`."""
    rows = counting.Meter(graph).by_layer(keep)
    return next(row.macs for row in rows if row.layer.startswith(prefix))
