"""Checks of input data: type, range, finite values.

Data are checked batch by batch, so that nothing is read twice.
"""

import numpy as np


def inputs(x, purpose, first, dtype=None):
    """Checks an input array and casts it to a model's dtype.

    Args:
        x: array `(N, ...)`.
        purpose: `str`, what the data are for, used in error messages.
        first: `int`, index of the first sample, used in error messages.
        dtype: `str`, dtype of the model's input; `None` if unknown.

    Returns:
        The array; numbers of another kind are cast to the input's dtype.

    Raises:
        ValueError: If the values are not numbers, or are NaN, infinite, or
            out of the range of `dtype`.
    """
    if dtype == "string" or (dtype is None and _is_text(x)):
        return x
    numbers(x, "Inputs", purpose, "np.asarray(x, 'float32')")
    finite(x, "Inputs", purpose, first)
    floats = dtype is None or "float" in dtype
    if floats:
        integers = x.dtype.kind in "biu"
        return x.astype("float32") if dtype and integers else x
    if dtype == "bool":
        return x.astype(bool)
    limits = np.iinfo(dtype)
    bad = (x < limits.min) | (x > limits.max) | (x != np.floor(x))
    if x.dtype.kind != "b" and bad.any():
        raise ValueError(
            f"Inputs must be integers from {limits.min} to {limits.max} for "
            f"{purpose}, as the model's input is {dtype}. Received: "
            f"{first_bad(x, bad, first)}."
        )
    return x.astype(dtype)


def numbers(array, what, purpose, instead):
    """Raises an error if an array holds anything but numbers.

    Args:
        array: numpy.
        what: `str`, what it holds, used in error messages.
        purpose: as for `inputs`.
        instead: `str`, what to pass.

    Raises:
        ValueError: If it does.
    """
    # numpy has no kind for bfloat16.
    if array.dtype.kind in "biuf" or array.dtype.name == "bfloat16":
        return
    raise ValueError(
        f"{what} must be numbers for {purpose}. Received: an array of dtype "
        f"{array.dtype}, such as {array.reshape(-1)[:1].tolist()}. Pass "
        f"{instead}."
    )


def finite(array, what, purpose, first):
    """Raises an error if numbers of an array are NaN or infinite.

    Args:
        array: numpy, of shape `(N, ...)`.
        what, purpose: as for `numbers`.
        first: `int`, index of the first sample, used in error messages.

    Raises:
        ValueError: If one is.
    """
    if array.dtype.kind in "biu":
        return
    if array.dtype.kind != "f":
        array = array.astype("float32")  # bfloat16
    # A sum is faster than testing each number, and finite only if all are.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):
            return
    bad = ~np.isfinite(array)
    if bad.any():
        raise ValueError(
            f"{what} must be finite for {purpose}. Received: "
            f"{first_bad(array, bad, first)}. Remove these samples, or "
            "check where the numbers come from."
        )


def first_bad(array, bad, first):
    """Describes the first bad value and the number of bad samples."""
    rows = np.flatnonzero(bad.reshape(len(bad), -1).any(1))
    value = array[rows[0]][bad[rows[0]]].reshape(-1)[0]
    return (
        f"{value:.7g} at sample {first + rows[0]} ({len(rows)} of the "
        f"{len(array)} samples of a batch are bad)"
    )


def _is_text(array):
    if array.dtype.kind == "O":
        return bool(array.size) and isinstance(array.flat[0], (str, bytes))
    return array.dtype.kind in "US"
