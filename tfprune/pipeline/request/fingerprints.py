"""What tells losses and metrics from others, in the next process too."""

import hashlib
import json
import re
import types
import warnings

import keras
import numpy as np

from tfprune.core import function_codes

_SETTINGS = (bool, int, float, str, list, tuple, dict)
# Methods that compute, and may keep a record of what they have computed.
_CALLS = ("call", "update_state", "result", "reset_state")


def of(nested):
    """A hash of losses, metrics, functions and plain data.

    Args:
        nested: lists and `dict`s of what `compile` takes.

    Returns:
        `str`. It depends on classes, settings and code, not on the numbers
        that Keras appends to the names of objects.
    """
    text = json.dumps(_told(nested), default=_plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _told(part):
    if isinstance(part, dict):
        return {str(key): _told(value) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_told(value) for value in part]
    if isinstance(part, (keras.losses.Loss, keras.metrics.Metric)):
        return [_class(type(part)), _config(part), _attributes(part)]
    if callable(part):
        return function_codes.told(part)
    if isinstance(part, np.generic):
        return part.item()
    if function_codes.is_constant(part):
        return function_codes.array(part)
    return part


def _class(cls):
    """The name of a class, and the code of a user's own."""
    found = [f"{cls.__module__}.{cls.__qualname__}"]
    for base in cls.__mro__:
        if base is object or base.__module__.startswith("keras."):
            continue
        for name, value in sorted(vars(base).items()):
            if isinstance(value, types.FunctionType):
                found.append([name, function_codes.told(value)])
    return found


def _config(thing):
    try:
        with warnings.catch_warnings():
            # That a lambda is not safe to load: nothing is loaded here.
            warnings.simplefilter("ignore", UserWarning)
            config = dict(thing.get_config())
    except NotImplementedError:  # a class of the user's own
        return None
    if isinstance(config.get("name"), str):
        config["name"] = re.sub(r"_\d+$", "", config["name"])
    return config


def _attributes(thing):
    """Settings that a class takes but does not write into its config."""
    found, cls = {}, type(thing)
    methods = [getattr(cls, name, None) for name in _CALLS]
    left_out = {"name", "built"} | function_codes.changed(thing, methods)
    for name, value in vars(thing).items():
        if name.startswith("_") or name in left_out:
            continue
        if isinstance(value, types.FunctionType):
            found[name] = function_codes.told(value)
        elif isinstance(value, _SETTINGS) or function_codes.is_constant(value):
            found[name] = _told(value)
    return found


def _plain(value):
    """What JSON has no word for; of unknown objects, their class."""
    if isinstance(value, np.ndarray) or np.isscalar(value):
        return np.asarray(value).tolist()
    if function_codes.is_constant(value):
        return function_codes.array(value)
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, types.FunctionType):
        return function_codes.told(value)
    return type(value).__qualname__
