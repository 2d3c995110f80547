"""Name scopes from which the names of layers are read in a traced graph.

TensorFlow numbers scopes, so that the ops of "conv2d" and "conv2d_1" come to
stand in "conv2d_1" and "conv2d_1_2". Layers are not renamed: a model may choose
by the names of its layers what it computes.
"""

import contextlib
import functools

import keras

from tfprune.export.convert.rewritten import layer_names
from tfprune.export.convert.traced import overrides
from tfprune.export.convert.traced import plain_names
from tfprune.graph import values


def named(model):
    """Each layer's ops stand in a scope with its name, while this is open.

    Args:
        model: a built `keras.Model`.

    Returns:
        A context manager.
    """
    return _within(
        (step, layer_names.MARK.format(plain_names.scope(step.name)))
        for step in _steps(model)
    )


def inside(layers, scope):
    """The ops of these layers stand in a further scope, while this is open.

    Args:
        layers: iterable of layers.
        scope: `str`, the name of the scope.

    Returns:
        A context manager.
    """
    return _within((layer, scope) for layer in layers)


def _steps(model):
    """All layers of a model, and the ops of functional ones."""
    found = {}
    for layer in values.layers(model):
        found[id(layer)] = layer
        if isinstance(layer, keras.Model):
            for step in getattr(layer, "operations", ()):
                found[id(step)] = step
    return list(found.values())


@contextlib.contextmanager
def _within(scopes):
    calls = (
        (step, "call", _scoped(step.call, scope)) for step, scope in scopes
    )
    with overrides.of(calls):
        yield


def _scoped(call, scope):
    import tensorflow as tf

    @functools.wraps(call)
    def scoped(*args, **kwargs):
        with tf.name_scope(scope):
            return call(*args, **kwargs)

    return scoped
