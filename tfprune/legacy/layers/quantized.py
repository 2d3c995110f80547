"""Removes the wrappers of quantization-aware training.

tensorflow-model-optimization puts them around layers of Keras 2.
"""

import keras

from tfprune.legacy.layers import parts

WRAPPERS = ("QuantizeAnnotate", "QuantizeWrapper", "QuantizeWrapperV2")
_ENDS = ("_min", "_max", "_step")


class Unquantized(parts.Wrapped):
    """A layer without its quantization; ignores the ranges in the file."""

    def assign(self, named):
        self._inner.assign(_weights(named))

    def leaves(self, named):
        return not _weights(named)


def _weights(named):
    """Those of the arrays that are no range and no count of steps."""
    return [
        (name, array)
        for name, array in named
        if not name.partition(":")[0].endswith(_ENDS)
    ]


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
        part = Unquantized(old, [layer], parts.Part(old, [layer]))
        return part, f"{old}: inputs are not quantized"
    call = None if inner.plain else inner
    part = Unquantized(old, inner.layers, inner, call)
    if name == "QuantizeAnnotate":
        return part, f"{old}: without its quantization annotation"
    return part, f"{old}: not rounded as in training"
