"""Layers around layers of models that train for quantization, left out.

tensorflow-model-optimization puts them around layers of Keras 2.
"""

import keras

from tfprune.legacy import parts

WRAPPERS = ("QuantizeAnnotate", "QuantizeWrapper", "QuantizeWrapperV2")
_ENDS = ("_min", "_max", "_step")


class Unquantized(parts.Wrapped):
    """A layer without the rounding around it: ranges in the file are left."""

    def assign(self, named):
        kept = [
            (name, array)
            for name, array in named
            if not name.partition(":")[0].endswith(_ENDS)
        ]
        self._inner.assign(kept)


def build(name, config, inner):
    """The part of a wrapper, or of a layer that rounds.

    Args:
        name: `str`, its class.
        config: `dict`.
        inner: `Part` of the layer inside, `None` of a layer that rounds.

    Returns:
        `(part, note)`.
    """
    old = config["name"]
    if inner is None:
        layer = keras.layers.Identity(name=old.replace("/", "_"))
        part = Unquantized(old, [layer], parts.Part(old, [layer]))
        return part, f"{old}: inputs are not rounded"
    call = None if inner.plain else inner
    part = Unquantized(old, inner.layers, inner, call)
    if name == "QuantizeAnnotate":
        return part, f"{old}: without its note of quantization"
    return part, f"{old}: not rounded as in training for quantization"
