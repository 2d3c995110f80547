"""Checks of labels, by what the loss of each output reads.

Labels are checked batch by batch, so that nothing is read twice.
"""

import numpy as np

from tfprune.datasets import checks
from tfprune.datasets import outputs as outputs_lib

_PROBABILITIES = ("categorical", "binary")


def check(y, outputs, purpose, first):
    """Raises an error if labels do not suit the outputs of a model.

    The checks depend on the loss: class indices for sparse cross-entropy,
    probabilities for other cross-entropies, in the shape of the outputs. If no
    loss is known, integers of shape `(N,)` beside outputs `(N, classes)` count
    as class indices. With a loss of the user's own, labels may be any numbers.

    Args:
        y: array, or a list, tuple or `dict` with one per output.
        outputs: list of `outputs.Output`; empty if they are unknown.
        purpose: `str`, what the data are for, used in error messages.
        first: `int`, index of the first sample, used in error messages.

    Raises:
        ValueError: If they are not numbers, not finite, out of range, or of
            another form than the loss reads.
    """
    parts = outputs_lib.in_order(y, outputs)
    named = {output.name for output in outputs}
    # Only `fit` knows how other keys match the outputs.
    is_strange = isinstance(y, dict) and not set(y) <= named
    if len(parts) != len(outputs) or is_strange:
        outputs = [None] * len(parts)
    for part, output in zip(parts, outputs, strict=True):
        if part is None:
            continue
        where = purpose
        if len(outputs) > 1 and output is not None and output.name:
            where = f"{purpose} at output {output.name!r}"
        cure = "class indices, or one-hot rows"
        checks.numbers(part, "Labels", where, cure)
        if output is None:
            checks.finite(part, "Labels", where, first)
        elif not output.has_own_loss:
            checks.finite(part, "Labels", where, first)
            _check(part, output, where, first)


def _check(y, output, purpose, first):
    loss = output.loss
    name = getattr(loss, "__name__", None) or getattr(loss, "name", None)
    if output.kind in ("sparse", *_PROBABILITIES):
        _check_form(y, output, name, purpose)
    if _are_indices(y, output):
        _check_indices(y, output, purpose, first)
    elif output.kind in _PROBABILITIES:
        bad = (y < 0) | (y > 1)
        if bad.any():
            raise ValueError(
                f"Labels must be from 0 to 1 for {purpose}, as the loss is "
                f"{name}. Received: {checks.first_bad(y, bad, first)}. Class "
                "indices need a sparse loss."
            )


def _are_indices(y, output):
    shape = output.shape
    if len(shape) < 2 or shape[-1] is None or shape[-1] < 2:
        return False
    flat = y.shape[:-1] if y.ndim == len(shape) else y.shape
    if len(flat) != len(shape) - 1:
        return False
    if output.kind == "sparse":
        return y.ndim < len(shape) or y.shape[-1] == 1
    return output.loss is None and y.dtype.kind in "iu" and y.ndim == 1


def _check_indices(y, output, purpose, first):
    classes = output.shape[-1]
    bad = (y < 0) | (y >= classes) | (y != np.floor(y))
    if output.ignored is not None:
        bad &= y != output.ignored
    if bad.any():
        raise ValueError(
            f"Labels must be class indices from 0 to {classes - 1} for "
            f"{purpose}, as the model has {classes} classes. Received: "
            f"{checks.first_bad(y, bad, first)}. Check how the classes are "
            "numbered, or give the model as many outputs."
        )


def _check_form(y, output, name, purpose):
    """Raises an error for one-hot rows beside a sparse loss, and the reverse.

    Keras stretches some of them to the shape of the outputs in silence.
    """
    shape = output.shape
    single = _fits(y, shape[:-1]) or _fits(y, (*shape[:-1], 1))
    if output.kind == "sparse":
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
