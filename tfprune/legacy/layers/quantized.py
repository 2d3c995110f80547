"""Removes the wrappers of quantization-aware training, and keeps their ranges.

tensorflow-model-optimization puts them around layers of Keras 2. Beside the
weights of its layer a wrapper has counts of steps and the ranges that were seen
in training: of weights, and of what the layer puts out.
"""

import keras
import numpy as np

from tfprune.legacy.layers import parts

WRAPPERS = ("QuantizeAnnotate", "QuantizeWrapper", "QuantizeWrapperV2")
_ENDS = ("_min", "_max", "_step")
# Prefixes of ranges that an output has, not a weight.
_OUTPUTS = ("post_activation", "output", "quantize_layer")


def build(name, config, inner):
    """Builds the part for a wrapper, or for a quantization layer.

    Args:
        name: `str`, its class.
        config: `dict`.
        inner: `Part` of the layer inside; `None` for a quantization layer.

    Returns:
        `(part, note)`.
    """
    old = config["name"]
    if inner is None:
        layer = keras.layers.Identity(name=old.replace("/", "_"))
        return parts.Part(old, [layer]), f"{old}: inputs are not quantized"
    call = None if inner.plain else inner
    part = parts.Wrapped(old, inner.layers, inner, call)
    if name == "QuantizeAnnotate":
        return part, f"{old}: without its quantization annotation"
    return part, f"{old}: not rounded as in training"


def split(weights, layers):
    """Separates the weights in a file from ranges and counts of steps.

    Args:
        weights: list of `(name, array)`, or a `dict` from the names of layers
            to such lists.
        layers: `dict` from the names of wrappers to those of the new layers.

    Returns:
        `(weights, ranges)`: the same without them; and a `dict` from the names
        of new layers to `(low, high)` of their outputs.
    """
    ends = {}

    def kept(named, owner=None):
        return [
            (name, array)
            for name, array in named
            if not _took(name.partition(":")[0], array, layers, owner, ends)
        ]

    if isinstance(weights, dict):
        found = {key: kept(named, key) for key, named in weights.items()}
        # Some layers have nothing but ranges.
        weights = {k: v for k, v in found.items() if v or not weights[k]}
    else:
        weights = kept(weights)
    ranges = {
        name: (found["min"], found["max"])
        for name, found in ends.items()
        if found["min"] < found["max"]  # Both are 0 before training.
    }
    return weights, ranges


def _took(name, array, layers, owner, ends):
    """Whether an array is no weight; notes it in `ends` if it is a range."""
    place, _, own = name.rpartition("/")
    if owner not in layers:
        fits = (w for w in layers if place == w or place.endswith(f"/{w}"))
        owner = next(fits, None)
    if owner is None or not own.endswith(_ENDS):
        return False
    what, _, end = own.rpartition("_")
    if end != "step" and what in (*_OUTPUTS, owner) and np.size(array) == 1:
        ends.setdefault(layers[owner], {})[end] = float(np.reshape(array, ()))
    return True
