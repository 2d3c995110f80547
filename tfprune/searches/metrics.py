"""Metrics by name: functions of labels and outputs, larger is better."""

import pkgutil

import keras
import numpy as np


def neg_mean_absolute_error(y, outputs):
    """Minus the mean distance between numbers, of each sample."""
    return -_each(np.abs, y, outputs)


def neg_mean_squared_error(y, outputs):
    """Minus the mean squared distance between numbers, of each sample."""
    return -_each(np.square, y, outputs)


_KNOWN = {
    "neg_mean_absolute_error": neg_mean_absolute_error,
    "neg_mean_squared_error": neg_mean_squared_error,
}


def of(metric):
    """The function that a name stands for.

    Args:
        metric: `str`, one of those above or MODULE:FUNCTION; or what comes
            back as it is, a function `(y, outputs) -> numbers` of numpy
            arrays, one number per sample, or `None`, which stands for
            accuracy.

    Raises:
        ValueError: If there is no such function.
    """
    if not isinstance(metric, str):
        return metric
    if metric in _KNOWN:
        return _KNOWN[metric]
    try:
        if ":" not in metric:
            raise ImportError("it has no colon")
        return pkgutil.resolve_name(metric)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"A metric must be {', '.join(_KNOWN)}, MODULE:FUNCTION or a "
            f"function. Received: metric={metric} ({error})."
        ) from error


def is_known(metric):
    """Whether a function is one of those above, or another one."""
    return any(metric is known for known in _KNOWN.values())


def _each(distance, y, outputs):
    """The mean distance of each sample, over all numbers of all outputs.

    Outputs whose labels are `None` are left out.
    """
    found = []
    sides = map(keras.tree.flatten, (y, outputs))
    for truth, answer in zip(*sides, strict=True):
        if truth is None:
            continue
        answer = np.asarray(answer)
        if np.size(truth) != answer.size:
            raise ValueError(
                "Labels of the shape of the outputs are required, to measure "
                f"how far numbers are apart. Received: {np.shape(truth)} for "
                f"outputs of shape {answer.shape}. For classes, pass a "
                "function (y, outputs) -> one number per sample as metric=."
            )
        apart = distance(np.reshape(truth, answer.shape) - answer)
        found.append(apart.reshape(len(answer), -1))
    return np.concatenate(found, -1).mean(-1)
