"""Recurrent layers without loops, which the converter has in float only."""

import contextlib
import functools

import keras
from absl import logging

from tfprune.export.convert.traced import overrides
from tfprune.graph import values


@contextlib.contextmanager
def unrolled(model, fused=()):
    """Recurrent layers compute step after step while this is open.

    Args:
        model: a built `keras.Model`; its layers are as before afterwards.
        fused: the names of layers that become one op, as far as they are
            known when this is closed.
    """
    looping = [
        layer
        for layer in values.layers(model)
        if isinstance(layer, keras.layers.RNN) and not layer.unroll
    ]
    with overrides.of(_changes(looping)):
        yield
    names = [layer.name for layer in looping if layer.name not in fused]
    if names:
        logging.info(
            "Recurrent layers are unrolled, each time step gets ops of its "
            "own: %s.",
            ", ".join(names),
        )


def _changes(layers):
    for layer in layers:
        yield layer, "unroll", True
        if layer.go_backwards and layer.zero_output_for_mask:
            # Keras would take the mask forwards.
            yield layer, "zero_output_for_mask", False
            yield layer, "inner_loop", _zeroed(layer.inner_loop)


def _zeroed(loop):
    """An `inner_loop` from the last step to the first, zero where masked."""

    @functools.wraps(loop)
    def zeroed(sequences, initial_state, mask, *args, **kwargs):
        last, outputs, states = loop(
            sequences, initial_state, mask, *args, **kwargs
        )
        if mask is None:
            return last, outputs, states
        (mask,) = keras.tree.flatten(mask)
        steps = keras.ops.unstack(mask, axis=1)[::-1]
        outputs = _unmasked(keras.ops.stack(steps, axis=1), outputs)
        return _unmasked(steps[-1], last), outputs, states

    return zeroed


def _unmasked(mask, outputs):
    more = range(len(mask.shape), len(outputs.shape))
    mask = keras.ops.expand_dims(mask, tuple(more))
    return keras.ops.where(mask, outputs, keras.ops.zeros_like(outputs))
