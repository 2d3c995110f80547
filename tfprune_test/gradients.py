"""Gradients on any backend, by one step of gradient descent."""

import keras
import numpy as np

from tfprune_test import small_nets

to_numpy = keras.ops.convert_to_numpy


class _Function(keras.layers.Layer):
    def __init__(self, function, values, upstream):
        super().__init__()
        self.function = function
        self.upstream = upstream
        self.values = [
            self.add_weight(
                shape=np.shape(value), initializer="zeros", name=f"x{i}"
            )
            for i, value in enumerate(values)
        ]
        for variable, value in zip(self.values, values):
            variable.assign(value)
        self.built = True

    def call(self, inputs):
        outputs = self.function(*(v.value for v in self.values))
        return keras.ops.sum(outputs * self.upstream) + 0 * inputs


def gradients(function, *values, upstream=1.0):
    """Derivatives of `sum(upstream * function(*values))`.

    Returns:
        A list of arrays, one per value.
    """
    inputs = keras.Input((1,))
    layer = _Function(function, values, np.asarray(upstream, "float32"))
    model = keras.Model(inputs, layer(inputs))
    return _step(model, layer.values, np.zeros((1, 1)), 1.0, 1.0)


def of_kernel(model, variables, upstream, rate):
    """Derivatives by variables that a layer's kernel depends on.

    Args:
        model: a `keras.Model` whose outputs are `x @ kernel`; it is compiled.
        variables: list of `keras.Variable`.
        upstream: derivatives by the kernel, array-like of its shape.
        rate: `float`, the learning rate.

    Returns:
        A list of arrays, one per variable.
    """
    rows = np.eye(len(upstream), dtype="float32")
    return _step(model, variables, rows, upstream, rate)


def _step(model, variables, x, upstream, rate):
    upstream = np.asarray(upstream, "float32")

    def loss(y, outputs):
        # Where a gradient does not depend on outputs, TensorFlow forgets that
        # it must be computed before the step changes weights.
        outputs = keras.ops.where(keras.ops.isfinite(outputs), outputs, 0.0)
        return keras.ops.sum(upstream * outputs, -1) * len(x)

    model.compile(keras.optimizers.SGD(rate), loss, jit_compile=small_nets.JIT)
    before = [to_numpy(v) for v in variables]
    model.train_on_batch(x, np.zeros_like(x))
    return [
        (b - to_numpy(v)) / rate for b, v in zip(before, variables, strict=True)
    ]
