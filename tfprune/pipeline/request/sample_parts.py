"""Inputs, targets and weights, the parts of data and of their batches."""

import keras
import numpy as np


def of(data):
    """`(x, y, weights)` of data or of a batch; weights may be `None`.

    Inputs are targets where there are none.
    """
    if not isinstance(data, tuple):
        return data, data, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            "Data must be x, (x, y) or (x, y, weights). Received: a tuple of "
            f"{len(data)}. Pass several inputs as a list or a dict."
        )
    x, y, weights = (*data, None, None)[:3]
    return x, (x if y is None else y), weights


def given(parts):
    """The parts without weights that are not there."""
    return parts[:2] if parts[2] is None else parts


def for_fit(part):
    """A batch as `fit` takes it from a PyDataset.

    Lists count as tensors there, and arrays of texts must be tensors.
    """
    return keras.tree.map_structure(_text, _changed(part, tuple))


def _text(array):
    kind = getattr(getattr(array, "dtype", None), "kind", None)
    if kind in ("U", "S", "O"):
        return keras.ops.convert_to_tensor(array, "string")
    return array


def _changed(part, kind):
    if isinstance(part, dict):
        return {name: _changed(value, kind) for name, value in part.items()}
    if isinstance(part, (list, tuple)):
        return kind(_changed(value, kind) for value in part)
    return part


def as_numpy(parts):
    """Parts without tuples in them, as numpy arrays."""
    parts = tuple(_changed(part, list) for part in parts)
    return keras.tree.map_structure(_numpy, parts)


def _numpy(array):
    if array is None or isinstance(array, np.ndarray):
        return array
    return keras.ops.convert_to_numpy(array)


def count(part):
    """`int`, the samples in the arrays of a part."""
    return len(keras.tree.flatten(part)[0])


def rows(parts, chosen):
    """Some samples of parts.

    Args:
        parts: arrays, in any structure; `None` stays.
        chosen: a slice, or positions.
    """

    def take(array):
        if array is None or isinstance(chosen, slice):
            return array if array is None else array[chosen]
        return np.asarray(array)[chosen]

    return keras.tree.map_structure(take, parts)


def spread(total, most):
    """Positions of some samples among all, at even distances."""
    return np.unique(np.linspace(0, total - 1, most).astype(int))


def thinned(parts, most):
    """At most so many samples of parts, at even distances."""
    return rows(parts, spread(count(parts[0]), most))


def joined(several):
    """The parts of several batches as one; `None` stays."""

    def join(*arrays):
        return None if arrays[0] is None else np.concatenate(arrays)

    return keras.tree.map_structure(join, *several)
