"""Chooses inputs for the self-test that expose wrong kernels."""

import numpy as np

from tfprune.export.run import interpreter

# The most pairs of a self-test, and the bytes that they may take.
_PAIRS, _BYTES = 4, 1 << 15
_CANDIDATES = 24
# Relative to the range of an input; noise over the full range saturates many
# networks.
_SPREADS = (0.03, 0.1, 0.3, 1.0)


def pairs(file, sample=None):
    """Inputs and TFLite Micro's outputs for them, as the file stores them.

    Those of the sample come first. The others are chosen from noise of several
    amplitudes: those whose outputs differ most from each other and are least
    saturated, since even wrong kernels reproduce saturated outputs.

    Args:
        file: `model_file.ModelFile`.
        sample: array of real values `(N, ...)`; a tuple or list of arrays for
            several inputs; `None` for noise alone.

    Returns:
        List of arrays `(pairs, ...)`: the inputs, then the outputs.

    Raises:
        ValueError: If the sample does not fit the inputs or is too large.
    """
    given = [] if sample is None else interpreter.stored(file, sample)
    size = sum(
        int(np.prod(t.shape)) * np.dtype(t.dtype).itemsize
        for t in (*file.inputs, *file.outputs)
    )
    count = min(_PAIRS, max(2, _BYTES // max(size, 1)))
    if given and len(given[0]) > _PAIRS:
        raise ValueError(
            f"At most {_PAIRS} inputs are required for the self-test. "
            f"Received: a sample of {len(given[0])}. Take x[:{_PAIRS}]."
        )
    missing = count - (len(given[0]) if given else 0)
    if missing <= 0:
        return given
    tried = interpreter.stored(file, _noise(file))
    chosen = _apart(file, given, tried, missing)
    found = [column[chosen] for column in tried]
    if not given:
        return found
    return [np.concatenate(both) for both in zip(given, found, strict=True)]


def _noise(file):
    """Real values for each input, arrays `(_CANDIDATES, ...)`."""
    rng = np.random.default_rng(0)
    columns = interpreter.random_inputs(file, _CANDIDATES)
    for i, tensor in enumerate(file.inputs):
        if tensor.scale is None:
            continue
        limits = np.iinfo(tensor.dtype)
        for k in range(_CANDIDATES):
            spread = _SPREADS[k % len(_SPREADS)] * (limits.max - limits.min)
            middle = rng.uniform(limits.min, limits.max)
            steps = middle + rng.normal(size=tensor.shape[1:]) * spread
            steps = np.clip(np.rint(steps), limits.min, limits.max)
            columns[i][k] = tensor.decode(steps)
    return columns


def _apart(file, given, tried, count):
    """Greedily picks the candidates that are farthest from all before them.

    Those with outputs that are not finite come into question only where there
    is nothing else.
    """
    outputs = slice(len(file.inputs), None)
    points = _points(file, tried[outputs])
    usable = np.flatnonzero(np.isfinite(points).all(1)).tolist()
    if not usable and not given:
        usable = list(range(_CANDIDATES))
    points = np.nan_to_num(points)
    taken = list(_points(file, given[outputs])) if given else []
    free = [
        np.mean([_inside(t, c[k]) for t, c in _columns(file, tried[outputs])])
        for k in range(_CANDIDATES)
    ]
    chosen = []
    for _ in range(min(count, len(usable))):
        best = max(
            (k for k in usable if k not in chosen),
            key=lambda k: (
                free[k]
                + min(
                    (np.abs(points[k] - p).mean() for p in taken), default=0.0
                )
            ),
        )
        chosen.append(best)
        taken.append(points[best])
    return chosen


def _columns(file, columns):
    return zip(file.outputs, columns, strict=True)


def _points(file, columns):
    """Outputs relative to their range, an array `(N, values)`."""
    rows = []
    for tensor, column in _columns(file, columns):
        width = 1.0
        if np.dtype(tensor.dtype).kind in "iu" and tensor.scale is not None:
            limits = np.iinfo(tensor.dtype)
            width = float(limits.max - limits.min)
        rows.append(column.reshape(len(column), -1).astype("float64") / width)
    return np.concatenate(rows, axis=1)


def _inside(tensor, values):
    """The share of values that are not saturated."""
    if tensor.scale is None:
        return 1.0
    limits = np.iinfo(tensor.dtype)
    return float(np.mean((values > limits.min) & (values < limits.max)))
