"""Ops whose config Keras cannot write, or cannot read back.

`keras.ops.reshape(x, (-1, np.prod(sizes)))` leaves one whose settings are
those of numpy, `keras.ops.map(function, x)` one that holds a function.
"""

import inspect

import keras
import numpy as np

from tfprune.graph import values

# Ops that take functions: Keras writes these down by their names, at best.
_OF_FUNCTIONS = {
    *("AssociativeScan", "Cond", "ForiLoop", "Map", "Scan", "Switch"),
    *("VectorizedMap", "WhileLoop"),
}


def is_missing(op):
    """Whether an op has no config to make it by; layers are not asked."""
    if isinstance(op, keras.layers.Layer):
        return False
    if _takes_function(op):
        return True
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
    """The same op with numbers and lists of Python in its settings.

    Args:
        op: a `keras.Operation` without a config.

    Returns:
        Another one, which has a config.

    Raises:
        ValueError: If a setting is something else, such as a function.
    """
    cls = type(op)
    if _takes_function(op):
        raise _refusal(op)
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
    is_of_numpy = isinstance(value, (np.generic, np.ndarray))
    return value.tolist() if is_of_numpy else value


def _takes_function(op):
    cls = type(op)
    return cls.__module__.startswith("keras.") and cls.__name__ in _OF_FUNCTIONS


def _refusal(op):
    if _takes_function(op):
        return ValueError(
            "Keras must be able to read an op back from its config. Received: "
            f"op {op.name!r} of class {type(op).__name__}, which holds a "
            "function. Call it in the `call` of a layer of your own."
        )
    return ValueError(
        "The settings of an op must be numbers, lists or texts of Python, or "
        f"None. Received: op {op.name!r} of class {type(op).__name__}, whose "
        "config Keras cannot write. Convert what comes from numpy, as by "
        "float(), or move the op into a layer."
    )
