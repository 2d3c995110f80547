"""Calls of layers that say themselves whether they are part of training.

Keras 2 kept to `layer(x, training=True)` inside a model; in Keras 3 the call
of the model decides.
"""

import inspect

import keras

from tfprune.legacy import nodes
from tfprune.legacy.layers import settings

# Settings of layers that act in training alone; 0 switches them off.
_CHANCES = ("dropout", "rate", "recurrent_dropout", "stddev")
_INSIDE = ("layer", "forward_layer", "backward_layer", "cell")


def said(entry):
    """What the calls of a layer say, a set of `bool`, and of `None` if not."""
    found = [
        nodes.settings(node).get("training") for node in entry["inbound_nodes"]
    ]
    return {bool(v) if isinstance(v, (bool, int)) else None for v in found}


def is_of_the_batch(entry):
    """Whether a normalization always has the statistics of its batch."""
    modern = settings.modern(entry)
    config = modern["config"]
    return (
        modern["class_name"] == "BatchNormalization"
        and not settings.is_registered(modern)
        and said(entry) == {True}
        and config.get("trainable", True)
        and not config.get("renorm")
    )


def note(entry, part):
    """What Keras 3 does not keep of the calls of a layer, or `None`.

    Args:
        entry: `dict`, the layer's entry.
        part: `parts.Part`, the layer.

    Raises:
        ValueError: If it normalizes by the statistics of its batch.
    """
    name, given = entry["name"], said(entry) - {None}
    changing = [layer for layer in _within(part.layers) if _changes(layer)]
    if not given or not changing:
        return None
    if True in given and any(map(_normalizes, changing)):
        raise ValueError(
            "Batch normalization must use moving statistics. Received: "
            f"training=True in a call of layer {name!r}. Build the model in "
            "code."
        )
    values = " and ".join(f"training={value}" for value in sorted(given))
    return f"{name}: without {values} of its calls"


def _within(layers):
    """Yields layers and what is inside them."""
    for layer in layers:
        yield layer
        inner = [getattr(layer, key, None) for key in _INSIDE]
        for key in ("layers", "cells"):
            inner += getattr(layer, key, None) or []
        yield from _within(x for x in inner if isinstance(x, keras.Layer))


def _changes(layer):
    """Whether a layer computes something else in training."""
    if settings.is_own(type(layer)):
        return "training" in inspect.signature(layer.call).parameters
    if isinstance(layer, keras.layers.MultiHeadAttention):
        return bool(layer.get_config()["dropout"])
    chances = any(getattr(layer, key, None) for key in _CHANCES)
    drawn = type(layer).__name__.startswith("Random")
    return chances or drawn or _normalizes(layer)


def _normalizes(layer):
    batch = isinstance(layer, keras.layers.BatchNormalization)
    return batch and layer.trainable
