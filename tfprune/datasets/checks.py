"""Checks of input data: type, range, finite values, labels.

Data are checked batch by batch, so that nothing is read twice.
"""

import keras
import numpy as np

from tfprune.datasets import loss_kinds

_NUMBERS = "biuf"


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
    if not _is_number(x):
        raise ValueError(
            f"Inputs must be numbers for {purpose}. Received: an array of "
            f"dtype {x.dtype}. Convert it, as in np.asarray(x, 'float32')."
        )
    _check_finite(x, "Inputs", purpose, first)
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
            f"{_first_bad(x, bad, first)}."
        )
    return x.astype(dtype)


def labels(y, model, purpose, first, loss=None):
    """Raises an error if labels do not suit a model.

    The checks depend on `loss` or the loss that the model was compiled with:
    class indices for sparse cross-entropy, probabilities for other
    cross-entropies, in the shape of the outputs. If no loss is known, integers
    of shape `(N,)` beside outputs `(N, classes)` count as class indices. With
    a custom loss, labels may be any numbers.

    Args:
        y: array, or a list, tuple or `dict` with one per output.
        model: a `keras.Model`, or `None` if unknown.
        purpose, first: as for `inputs`.
        loss: as for `keras.Model.compile`; `None` uses the model's loss.

    Raises:
        ValueError: If they are not numbers, not finite, out of range, or of
            another form than the loss reads.
    """
    for part in keras.tree.flatten(y):
        if not _is_number(part):
            raise ValueError(
                f"Labels must be numbers for {purpose}. Received: an array of "
                f"dtype {part.dtype}. Pass class indices, or one-hot rows."
            )
    for part, shape, found in _by_output(y, model, loss):
        found = None if found is None else keras.losses.get(found)
        if loss_kinds.is_own(found):
            continue
        _check_finite(part, "Labels", purpose, first)
        if shape is None:
            continue
        kind = _kind(found)
        if kind is not None:
            name = getattr(found, "__name__", None) or found.name
            check_form(part, shape, kind, name, purpose)
        if _are_indices(part, shape, found):
            _check_indices(part, shape[-1], found, purpose, first)
        elif kind is not None:
            _check_probabilities(part, found, purpose, first)


_PROBABILITIES = (
    keras.losses.BinaryCrossentropy,
    keras.losses.BinaryFocalCrossentropy,
    keras.losses.CategoricalCrossentropy,
    keras.losses.CategoricalFocalCrossentropy,
)
_FUNCTIONS = (
    keras.losses.binary_crossentropy,
    keras.losses.binary_focal_crossentropy,
    keras.losses.categorical_crossentropy,
    keras.losses.categorical_focal_crossentropy,
)


def _by_output(y, model, loss):
    """Labels, shape of the output and loss, of each output."""
    parts = keras.tree.flatten(y)
    outputs = [] if model is None else keras.tree.flatten(model.outputs)
    if loss is None and model is not None and model.compiled:
        loss = model.loss
    losses = list(loss.values()) if isinstance(loss, dict) else loss
    if not isinstance(losses, (list, tuple)):
        losses = [losses] * len(parts)
    # Only `fit` knows how the keys of a dict match the outputs.
    known = len(parts) == len(outputs) == len(losses)
    if not known or isinstance(y, dict) or isinstance(loss, dict):
        return [(part, None, None) for part in parts]
    shapes = [tuple(output.shape) for output in outputs]
    return list(zip(parts, shapes, losses, strict=True))


def _is_sparse(loss):
    kind = keras.losses.SparseCategoricalCrossentropy
    function = keras.losses.sparse_categorical_crossentropy
    return isinstance(loss, kind) or loss is function


def check_form(y, shape, kind, name, purpose):
    """Raises an error for one-hot rows beside a sparse loss, and the reverse.

    Keras stretches some of them to the shape of the outputs in silence.

    Args:
        y: array, the labels of one output.
        shape: `tuple`, of the output, with the batch axis.
        kind: `str`, "sparse", or another for probabilities.
        name: `str`, of the loss, used in error messages.
        purpose: as for `inputs`.

    Raises:
        ValueError: If they have another form than the loss reads.
    """
    single = _fits(y, shape[:-1]) or _fits(y, (*shape[:-1], 1))
    if kind == "sparse":
        wanted, right = "class indices", single
        cure = "np.argmax(y, -1), or compile with a loss that is not sparse"
    else:
        wanted = "rows as long as the outputs, such as one-hot rows,"
        right = _fits(y, shape) or (single and shape[-1] in (1, None))
        cure = "keras.utils.to_categorical(y), or compile with a sparse loss"
    if not right:
        raise ValueError(
            f"Labels must be {wanted} for {purpose}, as the loss is {name} "
            f"and the outputs have the shape {_shown(shape)}. Received: "
            f"labels of shape {_shown((None, *y.shape[1:]))}. Pass {cure}."
        )


def _fits(y, shape):
    return y.ndim == len(shape) and all(
        n is None or n == m for n, m in zip(shape[1:], y.shape[1:], strict=True)
    )


def _shown(shape):
    return f"({', '.join('N' if n is None else str(n) for n in shape)})"


def _kind(loss):
    """ "sparse", "probabilities", or `None` for other losses."""
    if _is_sparse(loss):
        return "sparse"
    if isinstance(loss, _PROBABILITIES) or loss in _FUNCTIONS:
        return "probabilities"
    return None


def _are_indices(y, shape, loss):
    if shape[-1] is None or shape[-1] < 2 or len(shape) < 2:
        return False
    flat = y.shape[:-1] if y.ndim == len(shape) else y.shape
    if len(flat) != len(shape) - 1:
        return False
    if _is_sparse(loss):
        return y.ndim < len(shape) or y.shape[-1] == 1
    return loss is None and y.dtype.kind in "iu" and y.ndim == 1


def _check_indices(y, classes, loss, purpose, first):
    bad = (y < 0) | (y >= classes) | (y != np.floor(y))
    config = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
    if config.get("ignore_class") is not None:
        bad &= y != config["ignore_class"]
    if bad.any():
        raise ValueError(
            f"Labels must be class indices from 0 to {classes - 1} for "
            f"{purpose}, as the model has {classes} classes. Received: "
            f"{_first_bad(y, bad, first)}. Check how the classes are "
            "numbered, or give the model as many outputs."
        )


def _check_probabilities(y, loss, purpose, first):
    bad = (y < 0) | (y > 1)
    if bad.any():
        name = getattr(loss, "__name__", None) or loss.name
        raise ValueError(
            f"Labels must be from 0 to 1 for {purpose}, as the loss is "
            f"{name}. Received: {_first_bad(y, bad, first)}. Class indices "
            "need a sparse loss."
        )


def _check_finite(array, what, purpose, first):
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
            f"{_first_bad(array, bad, first)}. Remove these samples, or "
            "check where the numbers come from."
        )


def _first_bad(array, bad, first):
    """Describes the first bad value and the number of bad samples."""
    rows = np.flatnonzero(bad.reshape(len(bad), -1).any(1))
    value = array[rows[0]][bad[rows[0]]].reshape(-1)[0]
    return (
        f"{value:.7g} at sample {first + rows[0]} ({len(rows)} of the "
        f"{len(array)} samples of a batch are bad)"
    )


def _is_number(array):
    # numpy has no kind for bfloat16.
    return array.dtype.kind in _NUMBERS or array.dtype.name == "bfloat16"


def _is_text(array):
    if array.dtype.kind == "O":
        return bool(array.size) and isinstance(array.flat[0], (str, bytes))
    return array.dtype.kind in "US"
