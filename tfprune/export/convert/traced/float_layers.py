"""Layers that stay in float within an int8 file.

While the model is traced, their ops stand in a scope, by whose name the
converter finds them.
"""

import fnmatch

from tfprune.core import kinds
from tfprune.export.convert import converter
from tfprune.export.convert.traced import layer_scopes
from tfprune.graph import values


def named(model, patterns):
    """The layers that match patterns.

    Args:
        model: a built `keras.Model`.
        patterns: `str` or an iterable of `str`: names of layers, or `fnmatch`
            patterns if no layer has that name.

    Returns:
        `list` of layers.

    Raises:
        ValueError: If a pattern matches no layer.
    """
    patterns = kinds.names("keep_float", patterns)
    layers = [x for x in values.layers(model) if x is not model]
    found = {}
    for pattern in patterns:
        fitting = [x for x in layers if x.name == pattern] or [
            x for x in layers if fnmatch.fnmatchcase(x.name, pattern)
        ]
        if not fitting:
            names = ", ".join(sorted({x.name for x in layers}))
            raise ValueError(
                "keep_float must name layers. Received: "
                f"keep_float={pattern!r}, which fits none of {names}."
            )
        found |= {id(layer): layer for layer in fitting}
    return list(found.values())


def marked(layers):
    """Marks the ops of layers within the context."""
    return layer_scopes.inside(layers, converter.MARK)
