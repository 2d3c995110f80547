"""Names that TensorFlow and C accept; Keras accepts almost any."""

import contextlib
import re

from tfprune.export.convert.traced import overrides
from tfprune.export.file import tensor_names
from tfprune.graph import values

_PLAIN = re.compile(r"[A-Za-z0-9.][\w.\\/>-]*", re.ASCII)


def scope(name):
    """The name of a layer as TensorFlow takes it for a scope."""
    return (
        name if _PLAIN.fullmatch(name) else tensor_names.plain(name) or "layer"
    )


@contextlib.contextmanager
def renamed(model):
    """Renames layers whose names TensorFlow refuses within the context.

    Args:
        model: a `keras.Model`, whose layers get their names back afterwards.
    """
    names = (
        (layer, "name", scope(layer.name))
        for layer in values.layers(model)
        if not _PLAIN.fullmatch(layer.name)
    )
    with overrides.of(names):
        yield
