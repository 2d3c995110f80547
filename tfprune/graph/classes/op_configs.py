"""Ops whose config Keras cannot write, as their settings are numpy's numbers.

`keras.ops.reshape(x, (-1, np.prod(sizes)))` leaves such an op.
"""

import inspect

import keras
import numpy as np

from tfprune.graph import values


def is_missing(op):
    """Whether an op has no config; layers are not asked."""
    if isinstance(op, keras.layers.Layer):
        return False
    try:
        op.get_config()
    except NotImplementedError:
        return True
    return False


def check(model):
    """Raises a `ValueError` if Keras cannot save a model for such an op."""
    for part in values.layers(model):
        for op in getattr(part, "operations", ()):
            if is_missing(op):
                raise _refusal(op)


def with_plain_numbers(op):
    """The same op with numbers of Python in its settings.

    Args:
        op: a `keras.Operation` without a config.

    Returns:
        Another one, which has a config.

    Raises:
        ValueError: If a setting is more than numbers.
    """
    cls = type(op)
    names = inspect.signature(cls.__init__).parameters
    settings = {
        name: keras.tree.map_structure(_plain, getattr(op, name))
        for name in names
        if hasattr(op, name)
    }
    try:
        new = cls(**settings)
    except Exception as error:
        raise _refusal(op) from error
    if is_missing(new):
        raise _refusal(op)
    return new


def _plain(value):
    is_number = isinstance(value, (np.generic, np.ndarray)) and not value.ndim
    return value.item() if is_number else value


def _refusal(op):
    return ValueError(
        "The settings of an op must be numbers of Python, texts or None. "
        f"Received: op {op.name!r} of class {type(op).__name__}, whose config "
        "Keras cannot write. Convert what comes from numpy, as by float(), or "
        "move the op into a layer."
    )
