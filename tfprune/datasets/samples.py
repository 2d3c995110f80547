"""Batches from any kind of data.

Data are arrays, or anything that yields batches: a `tf.data.Dataset`, a
`keras.utils.PyDataset`, a generator. They come out as numpy arrays, batch by
batch, so no data set is ever in memory as a whole.
"""

import math
import numbers
import operator

import keras
import numpy as np

from tfprune.datasets import checks
from tfprune.datasets import label_checks
from tfprune.datasets import outputs
from tfprune.datasets import streams

_NUMBERS = bool, int, float, str, np.generic
_ONE = " This is one sample, not a batch: pass data.batch(32), or x[None]."


def batches(
    data,
    purpose,
    batch_size=128,
    limit=None,
    labels=False,
    model=None,
    loss=None,
    weights=False,
):
    """Yields batches of any kind of data.

    Args:
        data: `(x, y)` arrays, `x` alone (an array, or a list or `dict` of
            arrays for several inputs), or an iterable of batches `(x, y)`,
            `(x, y, weights)` or `x`, as of `streams.each_batch`.
        purpose: `str`, what the data are for, used in error messages:
            `"the criterion 'taylor'"`.
        batch_size: `int`, samples per batch if the data are arrays.
        limit: `int`, maximum number of samples; `None` uses all. The last
            batch is cut to it.
        labels: `bool`, whether each sample needs a label.
        model: a `keras.Model` against which to check the inputs and labels;
            `x` is then the flat list of its inputs.
        loss: as for `keras.Model.compile`, if the labels are meant for
            another loss than the model's.
        weights: `bool`, whether to yield those of the samples, too.

    Yields:
        `(x, y)`, or `(x, y, weights)`, numpy; `None` for what is not given.

    Raises:
        ValueError: If there are no data, no samples or no required labels, if
            shapes do not match, or as in `checks.inputs` and
            `label_checks.check`.

    Example:

    >>> [len(x) for x, _ in batches(np.zeros((5, 2)), "a count", 2)]
    [2, 2, 1]
    """
    check_given(data, purpose, limit)
    seen = 0
    known = [] if model is None else outputs.of(model, loss)
    for batch in _iterate(data, batch_size, purpose):
        x, y, weighed = _parts(batch)
        if labels and y is None:
            raise ValueError(
                f"Labels are needed for {purpose}. Received: data of type "
                f"{type(data).__name__} that gives only inputs. Pass "
                "(x, y), or batches (x, y)."
            )
        x, y, weighed = keras.tree.map_structure(_numpy, (x, y, weighed))
        if model is not None:
            x = _flat_inputs(model, x, purpose)
            x = [
                checks.inputs(part, purpose, seen, spec.dtype)
                for part, spec in zip(x, model.inputs, strict=True)
            ]
        else:
            for part in keras.tree.flatten(x):
                checks.inputs(part, purpose, seen)
        count = len(keras.tree.flatten(x)[0])
        weighed = keras.tree.map_structure(_for_each(count), weighed)
        if y is not None:
            _check_counts(y, count, purpose)
            label_checks.check(y, known, purpose, seen)
        if limit is not None and seen + count > limit:
            count = limit - seen
            x, y, weighed = keras.tree.map_structure(
                _take(slice(count)), (x, y, weighed)
            )
        yield (x, y, weighed) if weights else (x, y)
        seen += count
        if seen == limit:
            return
    if not seen:
        raise ValueError(
            f"Samples are needed for {purpose}. Received: data of type "
            f"{type(data).__name__} that gives none. A generator can be read "
            "only once: make a new one."
        )


def check(data, purpose, batch_size=128, model=None, loss=None):
    """Raises an error if data are unsuitable for training, before it starts.

    Checks all of an array, but only the first batch of anything else.

    Args:
        data, purpose, batch_size, model, loss: as for `batches`; labels are
            required.

    Raises:
        ValueError: As `batches`, and if data can be read only once.
    """
    check_repeatable(data, purpose)
    options = {"labels": True, "model": model, "loss": loss}
    for _ in batches(data, purpose, batch_size, **options):
        if not _is_arrays(data):
            return


def check_repeatable(data, purpose):
    """Raises a `ValueError` if data can be read only once."""
    if hasattr(data, "__next__"):
        raise ValueError(
            f"Data that can be read several times are needed for {purpose}. "
            f"Received: data of type {type(data).__name__}, which can be read "
            "only once. Pass arrays, a tf.data.Dataset or a "
            "keras.utils.PyDataset."
        )


def check_shapes(model, x, purpose):
    """Raises a `ValueError` if a model cannot take the inputs of a batch.

    Keras adds a last axis of size 1, or takes it away, as a model needs it.

    Args:
        model: a `keras.Model`.
        x: the inputs of a batch, as `model(x)` takes them.
        purpose: as for `batches`.
    """
    if getattr(model, "inputs", None):
        _flat_inputs(model, x, purpose, _fits_in_keras)


def for_fit(data, batch_size=128, seed=0):
    """Converts data for `keras.Model.fit` with `shuffle=False`.

    Args:
        data: as for `batches`.
        batch_size: `int`, used if the data are arrays.
        seed: `int`, seed for shuffling arrays, or a list of batches, anew in
            each epoch.

    Returns:
        A `keras.utils.PyDataset`, whose order depends on the seed and on its
        `epoch`; data that `fit` takes as they are, unchanged; batches of
        other iterables in their order.
    """
    if _is_arrays(data):
        _check_size(batch_size)
        # Tables take labels in brackets, and tensors no lists of positions.
        arrays = keras.tree.map_structure(_numpy, data)
        count = len(keras.tree.flatten(arrays)[0])
        return _Shuffled(lambda i: _rows(arrays, i), count, batch_size, seed)
    if isinstance(data, (list, tuple)):
        return _Shuffled(
            lambda i: batch_for_fit(data[i[0]]), len(data), 1, seed
        )
    if streams.is_for_fit(data):
        return data
    return streams.Streamed(data, _as_batch)


def _as_batch(batch):
    return batch_for_fit(keras.tree.map_structure(_numpy, batch))


def batch_for_fit(batch):
    """A batch `(x, y)` or `(x, y, weights)` as `fit` takes it.

    From a PyDataset, where lists of arrays count as tensors, and no weights
    must be left out.
    """
    if not isinstance(batch, tuple):
        return batch
    while batch and batch[-1] is None:
        batch = batch[:-1]
    return tuple(map(_without_lists, batch))


def _without_lists(part):
    if isinstance(part, dict):
        return {name: _without_lists(value) for name, value in part.items()}
    if isinstance(part, (list, tuple)):
        return tuple(map(_without_lists, part))
    return part


def _rows(data, indices):
    return batch_for_fit(keras.tree.map_structure(_take(indices), data))


def as_bytes(array):
    """The `bytes` of an array, the same in every process."""
    if array.dtype.hasobject:  # texts, as pointers to them
        return repr(array.tolist()).encode()
    return np.ascontiguousarray(array).tobytes()


class _Shuffled(keras.utils.PyDataset):
    """Batches of chosen samples, reshuffled every epoch."""

    def __init__(self, choose, count, batch_size, seed):
        super().__init__()
        self._choose = choose
        self._count = count
        self._batch_size = batch_size
        self._seed = seed
        self.epoch = 0

    @property
    def epoch(self):
        """`int`, which the order depends on; epochs count themselves."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch):
        self._epoch = epoch
        self._read_to_the_end = False
        rng = np.random.default_rng((self._seed, epoch))
        self._order = rng.permutation(self._count)

    def __len__(self):
        return math.ceil(self._count / self._batch_size)

    def __getitem__(self, index):
        if index == len(self) - 1:
            self._read_to_the_end = True
        start = index * self._batch_size
        return self._choose(self._order[start : start + self._batch_size])

    def on_epoch_begin(self):
        # `fit` begins epochs without reading them, too.
        if self._read_to_the_end:
            self.epoch += 1


def check_given(data, purpose, limit):
    """Raises a `ValueError` for data, or a limit, that `batches` refuses.

    Args:
        data, purpose, limit: as for `batches`.
    """
    if data is None:
        raise ValueError(
            f"Data are needed for {purpose}. Received: data=None. Pass "
            "data=(x, y), a tf.data.Dataset, a keras.utils.PyDataset or a "
            "generator of batches."
        )
    if limit is not None and (
        not isinstance(limit, numbers.Integral) or limit < 1
    ):
        raise ValueError(
            f"At least one sample is needed for {purpose}. Received: "
            f"limit={limit!r}. Pass a positive int, or None for all samples."
        )
    _check_lists(data, purpose)
    endless = getattr(data, "cardinality", lambda: 0)()
    if isinstance(data, keras.utils.PyDataset):
        endless = -1 if data.num_batches is None else 0
    if limit is None and int(endless) == -1:
        raise ValueError(
            f"Finite data are needed for {purpose}. Received: an infinite "
            f"{type(data).__name__}. Limit it, as in data.take(50)."
        )


def _check_size(batch_size):
    if not isinstance(batch_size, numbers.Integral) or batch_size < 1:
        raise ValueError(
            "`batch_size` must be an int of at least 1 for arrays. Received: "
            f"batch_size={batch_size!r}."
        )


def _iterate(data, batch_size, purpose):
    if _is_arrays(data):
        _check_size(batch_size)
        return _slices(data, batch_size, purpose)
    readable = hasattr(data, "__iter__") and not isinstance(data, (str, bytes))
    if not readable and not isinstance(data, keras.utils.PyDataset):
        raise ValueError(
            "Data must be arrays (x, y), or yield batches. Received: data of "
            f"type {type(data).__name__} for {purpose}."
        )
    return streams.each_batch(data)


def _check_lists(data, purpose):
    """Raises a `ValueError` for `x` or `(x, y)` in lists of numbers."""
    leaves = keras.tree.flatten(data) if isinstance(data, (tuple, list)) else ()
    found = [leaf for leaf in leaves if isinstance(leaf, _NUMBERS)]
    # A list of batches may hold the weight of a whole one.
    if found and (isinstance(data, tuple) or len(found) == len(leaves)):
        raise ValueError(
            f"Arrays are needed for {purpose}. Received: a list of "
            f"{type(found[0]).__name__}. Pass np.asarray(...) of it."
        )


def _is_arrays(data):
    """Whether data are arrays; a list of tuples is a list of batches."""
    if isinstance(data, tuple):
        return all(_is_arrays(part) for part in data if part is not None)
    if isinstance(data, (list, dict)):
        leaves = keras.tree.flatten(data)
        shaped = all(hasattr(leaf, "shape") for leaf in leaves)
        pairs = any(isinstance(part, tuple) for part in data)
        return bool(leaves) and shaped and not pairs
    return hasattr(data, "shape")


def _slices(data, batch_size, purpose):
    data = _parts(data)
    lengths = {len(part) for part in keras.tree.flatten(data) if _given(part)}
    if len(lengths) > 1:
        raise ValueError(
            "All arrays must hold the same number of samples. Received: "
            f"arrays of {sorted(lengths)} samples for {purpose}."
        )
    for start in range(0, lengths.pop(), batch_size):
        rows = slice(start, start + batch_size)
        yield keras.tree.map_structure(_take(rows), data)


def _take(rows):
    get = operator.itemgetter(rows)
    return lambda part: get(part) if _given(part) else part


def _for_each(count):
    """One weight for a whole batch becomes that of each sample."""
    return lambda part: (
        part if part is None or part.ndim else np.full(count, part)
    )


def _given(part):
    return part is not None


def _parts(batch):
    """`(x, y, weights)` of a batch, `None` for what it does not have."""
    if not isinstance(batch, tuple):
        return batch, None, None
    if len(batch) > 3 or not batch:
        raise ValueError(
            "A batch must be x, (x, y) or (x, y, weights). Received: a tuple "
            f"of {len(batch)}. Pass several inputs as a list or a dict."
        )
    return *batch, *(None,) * (3 - len(batch))


def _check_counts(y, count, purpose):
    parts = keras.tree.flatten(y)
    counts = {len(part) if part.ndim else 1 for part in parts}
    if counts != {count}:
        one = not all(part.ndim for part in parts)
        raise ValueError(
            f"Each sample needs one label for {purpose}. Received: {count} "
            f"samples in a batch, labels for {sorted(counts)}.{_ONE * one}"
        )


def _numpy(part):
    if part is None or isinstance(part, np.ndarray):
        return part
    return keras.ops.convert_to_numpy(part)


def _flat_inputs(model, x, purpose, fits=None):
    """The inputs of a batch in the order of `model.inputs`."""
    fits = fits or _fits
    flat = _by_name(model, x, purpose) if isinstance(x, dict) else x
    flat = keras.tree.flatten(flat)
    shapes = [tuple(t.shape[1:]) for t in model.inputs]
    given = [tuple(part.shape[1:]) for part in flat]
    if len(given) != len(shapes) or not all(
        fits(g, s) for g, s in zip(given, shapes, strict=True)
    ):
        one = len(flat) == len(shapes) and all(
            fits(tuple(part.shape), s)
            for part, s in zip(flat, shapes, strict=True)
        )
        raise ValueError(
            "Data must have the shapes of the model's inputs, "
            f"{', '.join(map(str, shapes))} without the batch axis. Received: "
            f"{', '.join(map(str, given))} for {purpose}.{_ONE * one}"
        )
    return flat


def _by_name(model, x, purpose):
    # A Sequential that was built but never called has no `input`.
    whole = None if isinstance(model, keras.Sequential) else model.input
    named = isinstance(whole, dict)
    names = list(whole) if named else [t.name for t in model.inputs]
    missing = sorted(set(names) - set(x))
    if missing:
        raise ValueError(
            f"Every input of the model is needed for {purpose}. Received: "
            f"inputs {sorted(x)}, without {missing}."
        )
    # Keras flattens a dict in the order of its keys, a list as it is.
    return {n: x[n] for n in names} if named else [x[n] for n in names]


def _fits(given, shape):
    return len(given) == len(shape) and all(
        n is None or n == m for n, m in zip(shape, given, strict=True)
    )


def _fits_in_keras(given, shape):
    return any(
        _fits(a, b)
        for a, b in (
            (given, shape),
            ((*given, 1), shape),
            (given, (*shape, 1)),
        )
    )
