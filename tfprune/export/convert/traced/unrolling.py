"""Recurrent layers without loops, which the converter has in float only."""

import contextlib

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
    with overrides.of((layer, "unroll", True) for layer in looping):
        yield
    names = [layer.name for layer in looping if layer.name not in fused]
    if names:
        logging.info(
            "Recurrent layers are unrolled, each time step gets ops of its "
            "own: %s.",
            ", ".join(names),
        )
