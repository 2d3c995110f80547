"""Calibration samples: checked before anything is converted."""

import itertools
import numbers
from collections import abc

import keras
import numpy as np


def samples(data, inputs, limit):
    """Collects the samples on which to calibrate activation ranges.

    Args:
        data: An array `(N, ...)`; for several inputs a tuple, a list or a
            dict of arrays; or an iterable (a `tf.data.Dataset`, a generator)
            of single samples or of batches, alone or as `(x, y)`.
        inputs: `tuple` of `signature.Input`.
        limit: `int`, maximum number of samples: evenly spaced ones of an
            array, the first ones of an iterable.

    Returns:
        A list with one array `(n, ...)` per input, of its dtype.

    Raises:
        ValueError: If shape, dtype or values do not match, or there are no
            samples.
    """
    if (
        isinstance(limit, bool)
        or not isinstance(limit, numbers.Integral)
        or limit < 1
    ):
        raise ValueError(
            "At least one sample is required. Received: "
            f"calibration_samples={limit!r}."
        )
    arrays = _whole(data, inputs)
    if arrays is None:
        arrays = _first(data, inputs, limit)
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(
            "Calibration needs samples, the same number for each input. "
            f"Received: {[len(array) for array in arrays]} samples."
        )
    count = lengths.pop()
    if count > limit:
        taken = np.linspace(0, count - 1, limit).round().astype(int)
        arrays = [array[taken] for array in arrays]
    return [
        _checked(array, spec)
        for array, spec in zip(arrays, inputs, strict=True)
    ]


def _whole(data, inputs):
    """One array for each input, or `None` if `data` must be iterated."""
    parts = _parts(data, inputs)
    if parts is None or not all(map(_is_array, parts)):
        return None
    arrays = [np.asarray(part) for part in parts]
    for array, spec in zip(arrays, inputs, strict=True):
        if array.shape[1:] != spec.shape[1:]:
            raise _misshapen(array.shape, spec, ("N", *spec.shape[1:]))
    return arrays


def _first(data, inputs, limit):
    """The first samples of an iterable, batches put together."""
    if not isinstance(data, abc.Iterable) or isinstance(data, str | bytes):
        raise ValueError(
            "Calibration data must be an array, a tuple, list or dict of "
            "arrays, a tf.data.Dataset or a generator. Received: calibration "
            f"of type {type(data).__name__}."
        )
    columns, count = [[] for _ in inputs], 0
    # A repeating dataset never ends; empty batches must not loop forever.
    for element in itertools.islice(data, limit):
        batches = _batches(element, inputs)
        for column, batch in zip(columns, batches, strict=True):
            column.append(batch)
        count += len(batches[0])
        if count >= limit:
            break
    if not count:
        raise ValueError(
            "Calibration needs samples. Received: calibration of type "
            f"{type(data).__name__} that gives none. A generator can be used "
            "only once: make a new one."
        )
    return [np.concatenate(column)[:limit] for column in columns]


def _batches(element, inputs):
    """The batch of each input in one element of an iterable."""
    parts = _parts(element, inputs)
    if parts is None or not all(map(_is_array, parts)):
        pair = isinstance(element, tuple | list) and len(element) > 1
        parts = _parts(element[0], inputs) if pair else None
    if parts is None:
        raise ValueError(
            f"Each calibration element must hold {len(inputs)} input(s) "
            f"{[spec.name for spec in inputs]}, alone or as (x, y). Received:"
            f" {_described(element)}."
        )
    # Of its own: a generator may fill the same array again.
    return [
        _batch(np.array(part), spec)
        for part, spec in zip(parts, inputs, strict=True)
    ]


def _batch(array, spec):
    if array.shape == spec.shape[1:]:
        return array[None]
    if array.shape[1:] == spec.shape[1:]:
        return array
    raise _misshapen(array.shape, spec, spec.shape[1:])


def _parts(data, inputs):
    """`data` taken apart by input, or `None` if it has another form."""
    if isinstance(data, dict):
        return _by_name(data, inputs)
    if isinstance(data, tuple | list):
        return list(data) if len(data) == len(inputs) else None
    return [data] if _is_array(data) and len(inputs) == 1 else None


def _by_name(data, inputs):
    keys = [spec.key for spec in inputs]
    if len(set(keys)) < len(keys):  # In lists or dicts beneath them.
        parts = keras.tree.flatten(data)
        return parts if len(parts) == len(keys) else None
    for names in (keys, [spec.name for spec in inputs]):
        if set(names) == set(data):
            return [data[name] for name in names]
    raise ValueError(
        f"Calibration keys must be the inputs {keys}. Received: "
        f"{sorted(map(str, data))}."
    )


def _is_array(value):
    return hasattr(value, "__array__") and np.ndim(value) > 0


def _described(element):
    if isinstance(element, tuple | list):
        return f"{len(element)} parts"
    return f"{type(element).__name__} of shape {np.shape(element)}"


def _misshapen(shape, spec, required):
    required = ", ".join(map(str, required))
    return ValueError(
        f"Calibration samples for {spec.name!r} must have shape ({required}). "
        f"Received: an array of shape {tuple(shape)}."
    )


def _checked(array, spec):
    kinds = "biuf" if spec.dtype.startswith(("float", "bfloat")) else "biu"
    if array.dtype.kind not in kinds:
        raise ValueError(
            f"Calibration samples for {spec.name!r} must be numbers that fit "
            f"{spec.dtype}. Received: dtype={array.dtype}."
        )
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(array, spec.dtype)
    bad = np.flatnonzero(~np.isfinite(stored.reshape(len(array), -1)).all(1))
    if len(bad):
        raise ValueError(
            f"Calibration samples for {spec.name!r} must be finite numbers of "
            f"{spec.dtype}. Received: NaN, infinity or what becomes it in "
            f"{len(bad)} of {len(array)} samples, the first at index {bad[0]}."
        )
    whole = array.dtype.kind in "iu" and stored.dtype.kind in "iu"
    if whole and (stored != array).any():
        raise ValueError(
            f"Calibration samples for {spec.name!r} must fit {spec.dtype}. "
            f"Received: numbers from {array.min()} to {array.max()}."
        )
    return stored
