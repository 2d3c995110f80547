"""Names that TensorFlow and C take, where Keras takes nearly any."""

import contextlib
import re

from tfprune.export.convert.traced import overrides
from tfprune.export.micro import c_source
from tfprune.graph import values

_PLAIN = re.compile(r"[A-Za-z0-9.][\w.\\/>-]*", re.ASCII)


def plain(name):
    """ASCII letters, digits and underscores, the first one no underscore."""
    letters = c_source.without_accents(name)
    return re.sub(r"\W", "_", letters, flags=re.ASCII).lstrip("_")


@contextlib.contextmanager
def renamed(model):
    """Layers that TensorFlow cannot trace as they are called have other names.

    Args:
        model: a `keras.Model`; its layers have their names again afterwards.
    """
    names = (
        (layer, "name", plain(layer.name) or "layer")
        for layer in values.layers(model)
        if not _PLAIN.fullmatch(layer.name)
    )
    with overrides.of(names):
        yield
