"""Names that TensorFlow and C accept; Keras accepts almost any."""

import contextlib
import re

from tfprune.export.convert.traced import overrides
from tfprune.export.micro import c_source
from tfprune.graph import values

_PLAIN = re.compile(r"[A-Za-z0-9.][\w.\\/>-]*", re.ASCII)


def plain(name):
    """The name in ASCII letters, digits and underscores, the last not first."""
    letters = c_source.without_accents(name)
    return re.sub(r"\W", "_", letters, flags=re.ASCII).lstrip("_")


def scope(name):
    """The name of a layer as TensorFlow takes it for a scope."""
    return name if _PLAIN.fullmatch(name) else plain(name) or "layer"


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
