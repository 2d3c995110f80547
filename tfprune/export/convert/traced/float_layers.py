"""Layers that stay in float within a file of int8.

While the model is traced their names carry a mark, so that the converter is
told which ops are theirs whatever TensorFlow makes of scopes.
"""

import contextlib
import fnmatch

from tfprune.export.convert import converter
from tfprune.export.convert.traced import overrides
from tfprune.export.convert.traced import plain_names
from tfprune.graph import values


def named(model, patterns):
    """The layers that patterns name.

    Args:
        model: a built `keras.Model`.
        patterns: a `str` or an iterable of them: names of layers, or patterns
            as of `fnmatch` where no layer has such a name.

    Returns:
        `list` of layers.

    Raises:
        ValueError: If a pattern names no layer.
    """
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
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


@contextlib.contextmanager
def marked(layers):
    """Layers carry a mark in their names while this is open."""
    names = (
        (layer, "name", f"{plain_names.plain(layer.name)}{converter.MARK}")
        for layer in layers
    )
    with overrides.of(names):
        yield
