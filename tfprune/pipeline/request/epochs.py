"""Training data in an order of each epoch's own."""

import functools
import math

import keras
import numpy as np

from tfprune.datasets import streams
from tfprune.pipeline.request import sample_parts as parts_lib


class Shuffled(keras.utils.PyDataset):
    """Batches of arrays in an order of each epoch's own."""

    def __init__(self, arrays, batch_size, seed, epoch):
        super().__init__()
        self._arrays, self._batch_size = parts_lib.given(arrays), batch_size
        self._seed, self.epoch = seed, epoch
        self._count = parts_lib.count(arrays[0])

    def __len__(self):
        return math.ceil(self._count / self._batch_size)

    def __getitem__(self, index):
        batch = parts_lib.rows(self._arrays, self.chosen(index))
        return parts_lib.for_fit(batch)

    def chosen(self, index):
        """The positions of a batch's samples."""
        order = _order(self._seed, self.epoch, self._count)
        start = index * self._batch_size
        return order[start : start + self._batch_size]


class Listed(keras.utils.PyDataset):
    """Batches of a list in an order of each epoch's own."""

    def __init__(self, batches, seed, epoch):
        super().__init__()
        self._batches, self._seed, self.epoch = batches, seed, epoch

    def __len__(self):
        return len(self._batches)

    def __getitem__(self, index):
        batch = self._batches[self.chosen(index)]
        return parts_lib.for_fit(parts_lib.given(parts_lib.of(batch)))

    def chosen(self, index):
        """The position of a batch in the list."""
        return _order(self._seed, self.epoch, len(self._batches))[index]


class Targeted(keras.utils.PyDataset):
    """The batches of another one, whose inputs are their own targets."""

    def __init__(self, data):
        super().__init__(
            workers=data.workers,
            use_multiprocessing=data.use_multiprocessing,
            max_queue_size=data.max_queue_size,
        )
        self._data = data

    def __len__(self):
        return self._data.num_batches

    def __getitem__(self, index):
        batch = streams.as_tuple(self._data[index])
        return parts_lib.for_fit(parts_lib.given(parts_lib.of(batch)))

    def on_epoch_begin(self):
        self._data.on_epoch_begin()

    def on_epoch_end(self):
        self._data.on_epoch_end()


@functools.lru_cache(2)
def _order(seed, epoch, count):
    return np.random.default_rng((seed, epoch)).permutation(count)
