"""Layers over time steps, computed for all steps at once.

Keras computes `TimeDistributed` step by step, and each step gets ops of its own
in the file. Here the steps stand where the batch does, so there is one op.
"""

import functools

import keras

from tfprune.export.convert.traced import overrides
from tfprune.graph import values
from tfprune.graph.composites import tracing


def together(model):
    """`TimeDistributed` layers of a model take all steps at once.

    Those whose layer may mix samples, or is told a mask, are traced as usual;
    so are functional models with ops that may read the axis of the batch.

    Args:
        model: a built `keras.Model`; its layers are as before afterwards.

    Returns:
        A context manager.
    """
    return overrides.of(
        (layer, "call", _together(layer))
        for layer in values.layers(model)
        if isinstance(layer, keras.layers.TimeDistributed) and _fits(layer)
    )


def _fits(layer):
    return (
        type(layer).call is keras.layers.TimeDistributed.call
        and all(_keeps_samples_apart(x) for x in values.layers(layer.layer))
        and not values.states(layer.layer)
    )


def _keeps_samples_apart(layer):
    """Whether a layer is one of Keras's that takes any batch.

    A recurrent layer may become an op that remembers one sample.
    """
    takes_any = not isinstance(layer, keras.Model) or all(
        x.shape[0] is None for x in layer.inputs
    )
    return (
        takes_any
        and type(layer).__module__.startswith("keras.")
        and not isinstance(layer, (keras.layers.RNN, keras.layers.Lambda))
        and all(map(_is_elementwise, _functions(layer)))
    )


def _functions(layer):
    """The ops of a functional model that are no layers."""
    return [
        x
        for x in getattr(layer, "operations", ())
        if not isinstance(x, keras.layers.Layer)
    ]


def _is_elementwise(function):
    """Whether an op reads no axis, which may be that of the batch."""
    given = keras.tree.flatten(function.input)
    found = keras.tree.flatten(function.output)
    return (
        not hasattr(function, "axis")
        and type(function).__name__ != "GetItem"
        and all(x.shape in [y.shape for y in given] for x in found)
    )


def _together(layer):
    """The replacement of `TimeDistributed.call`."""
    one_by_one = layer.call

    @functools.wraps(one_by_one)
    def call(inputs, training=None, mask=None):
        masked = mask is not None and "mask" in tracing.parameters(layer.layer)
        if masked or None in inputs.shape[:2]:
            return one_by_one(inputs, training=training, mask=mask)
        steps = inputs.shape[:2]
        each = keras.ops.reshape(inputs, (-1, *inputs.shape[2:]))
        return keras.tree.map_structure(
            lambda x: keras.ops.reshape(x, (*steps, *x.shape[1:])),
            layer.layer(each),
        )

    return call
