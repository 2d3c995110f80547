"""Batches of anything that gives them, for measuring and for `fit`.

Keras trains on a `tf.data.Dataset` and on a `keras.utils.PyDataset`, but of
other iterables it knows only those of some packages.
"""

import itertools

import keras


class Streamed(keras.utils.PyDataset):
    """Batches in the order in which an iterable gives them.

    Each epoch begins a new iteration. One that ends early is followed by the
    next, so that all epochs have the same number of steps.

    Args:
        data: an iterable of batches that can be read several times.
        convert: function from a batch to one as `fit` takes it.
        count: `int`, the number of batches; `None` counts them.
    """

    def __init__(self, data, convert, count=None):
        super().__init__()
        self._data, self._convert, self._count = data, convert, count
        self._batches = None

    def __len__(self):
        if self._count is None:
            is_sized = hasattr(self._data, "__len__")
            count = len(self._data) if is_sized else sum(1 for _ in self._data)
            self._count = count
        return self._count

    def __getitem__(self, index):
        # `fit` reads batches in order, the first ones more than once.
        if index == 0 or self._batches is None:
            self._batches = _repeated(self._data)
        return self._convert(next(self._batches))


def each_batch(data):
    """Yields the batches of data that are no arrays, as `fit` takes them.

    Keras takes a list for inputs, labels and weights, as it does a tuple. From
    a generator or a list of batches it takes no lists; from these, one holds
    several inputs.

    Args:
        data: a `keras.utils.PyDataset` or an iterable.
    """
    batches = data
    if isinstance(data, keras.utils.PyDataset):
        count = data.num_batches
        numbers = itertools.count() if count is None else range(count)
        batches = (data[i] for i in numbers)
    elif not _is_loader(data):
        return iter(data)
    return map(as_tuple, batches)


def as_tuple(batch):
    """A batch of what may give its parts in a list, as `each_batch` has it."""
    return tuple(batch) if isinstance(batch, list) else batch


def _is_loader(data):
    """Whether data are batches of another library that Keras reads."""
    packages = {c.__module__.partition(".")[0] for c in type(data).__mro__}
    return bool(packages & {"grain", "torch"})


def is_for_fit(data):
    """Whether `fit` itself takes data that give batches."""
    known = isinstance(data, keras.utils.PyDataset)
    # Of a tf.data.Dataset, without an import of TensorFlow.
    return known or hasattr(data, "element_spec") or hasattr(data, "__next__")


def _repeated(data):
    is_empty = False
    while not is_empty:
        is_empty = True
        for batch in each_batch(data):
            is_empty = False
            yield batch
