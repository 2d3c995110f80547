"""Checks what kind of thing an argument is."""

import math
import numbers
import os


def check(name, value, kind, cure):
    """Raises a `TypeError` for what is not of a class.

    Args:
        name: `str`, of the argument.
        value: what was given.
        kind: a class.
        cure: `str`, a sentence that tells where to get one.
    """
    if not isinstance(value, kind):
        raise TypeError(
            f"`{name}` must be a {kind.__name__}. Received: "
            f"{told(name, value)}. {cure}"
        )


def check_path(name, value, cure, what="file"):
    """Raises a `TypeError` for what is not the path of a file, or a folder."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(
            f"`{name}` must be the path of a {what}. Received: "
            f"{told(name, value)}. {cure}"
        )


def check_bytes(**limits):
    """Raises a `ValueError` for a limit that is no number of bytes.

    Args:
        **limits: by the names of the arguments; `None` is no limit.
    """
    for name, value in limits.items():
        if value is not None and not _is_count(value):
            raise ValueError(
                f"`{name}` must be a whole number of bytes, at least 1. "
                f"Received: {told(name, value)}. Give the bytes; shares of "
                "what a model takes are for tfprune.Budget."
            )


def _is_count(value):
    """Whether a value is a whole number of at least 1, as 5 and 1e5 are."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    return math.isfinite(value) and value >= 1 and value == int(value)


def told(name, value):
    """What was given, for the text of an error: short, whatever it is."""
    plain = value is None or isinstance(value, (str, int, float))
    return f"{name}={value!r}" if plain else f"{name} of type {_kind(value)}"


def _kind(value):
    return type(value).__name__


def names(name, given):
    """A pattern of names, or several, as a `tuple`.

    Args:
        name: `str`, of the argument.
        given: a `str`, or an iterable of these.

    Raises:
        ValueError: If it is anything else.
    """
    try:
        found = (given,) if isinstance(given, str) else tuple(given)
    except TypeError:
        found = (given,)
    if not all(isinstance(each, str) for each in found):
        raise ValueError(
            f"`{name}` must be a pattern of names, or a list of these. "
            f"Received: {name}={given!r}."
        )
    return found
