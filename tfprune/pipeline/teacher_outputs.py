"""The teacher's outputs, computed once for training data that repeat.

Arrays, lists of batches, and images in a fixed number of augmented views come
back, and so would the teacher's outputs: a forward pass of the dense network in
each step.
"""

import functools

import keras
import numpy as np

from tfprune.datasets import batches as batches_lib
from tfprune.graph import values as values_lib
from tfprune.pipeline.request import epochs as epochs_lib

_MOST_BYTES = 2**29  # The most memory for outputs.


class TeacherOutputs:
    """Feeds `fit` with data and the teacher's outputs for them.

    Outputs are kept in memory for all trainings of a run. They depend on the
    data alone, not on when they are computed, so that a training that goes on
    after a kill gets the same ones.

    Args:
        teacher: a built `keras.Model`; it is compiled anew.
        source: `sources.Source` of the training data.
    """

    def __init__(self, teacher, source):
        self._teacher, self._source = teacher, source
        self._known = {}
        # On a CPU, compiling with XLA takes longer than the predictions.
        teacher.compile(jit_compile=keras.backend.backend() == "jax")

    @functools.cached_property
    def are_reusable(self):
        """`bool`, whether data repeat, and outputs depend on them alone."""
        if values_lib.states(self._teacher):
            return False
        return self._views() * self._bytes() <= _MOST_BYTES

    def epochs(self, first=0):
        """As `Source.epochs`; batches of `(x, (y, outputs))`, and weights.

        `outputs` is a tuple of float arrays, one for each output.
        """
        return _Taught(self._source.epochs(first), self)

    def of(self, feed):
        """The outputs for an epoch, computed if they are not known.

        Args:
            feed: data from `Source.epochs`.

        Returns:
            List of tuples of arrays in the order of the data: of samples for
            arrays and images, else of batches.
        """
        view = getattr(feed, "view", None)
        if view not in self._known:
            self._known[view] = self._computed(feed)
        return self._known[view]

    def _computed(self, feed):
        if _are_images(feed):
            size, images = feed.batch_size, feed.images_of_view()
            parts = (
                feed.preprocessing(images[start : start + size])
                for start in range(0, len(images), size)
            )
        else:
            parts = (x for x, *_ in self._source.batches())
        found = [self._predicted(x) for x in parts]
        if isinstance(feed, epochs_lib.Listed):
            return found
        return tuple(np.concatenate(part) for part in zip(*found, strict=True))

    def _predicted(self, x):
        found = keras.tree.flatten(self._teacher.predict_on_batch(x))
        return tuple(np.asarray(part, "float32") for part in found)

    def _views(self):
        """How many times the data there are outputs for; `inf`: no end."""
        data = self._source.data
        if _are_images(data):
            if data.augmentation is None:
                return 1
            return data.views or np.inf
        listed = isinstance(data, (list, tuple))
        return 1 if self._source.is_arrays or listed else np.inf

    def _bytes(self):
        """Of the outputs for all samples once."""
        data = self._source.data
        if _are_images(data):
            count = len(data.split)
        elif self._source.is_arrays:
            count = len(keras.tree.flatten(data[0])[0])
        elif isinstance(data, (list, tuple)):
            count = sum(len(x) for x in map(_first, data))
        else:
            return np.inf
        x = next(self._source.batches(limit=1))[0]
        return 4 * count * sum(part.size for part in self._predicted(x))


class _Taught(keras.utils.PyDataset):
    """The batches of a feed, with the teacher's outputs beside the targets.

    Unlike those of the feed, its epochs do not count themselves.
    """

    def __init__(self, feed, outputs):
        super().__init__()
        self._feed, self._outputs = feed, outputs
        self.epoch = feed.epoch

    @property
    def epoch(self):
        """`int`, as of the feed."""
        return self._feed.epoch

    @epoch.setter
    def epoch(self, epoch):
        # Here, and not in `__getitem__`: TensorFlow calls that in a thread.
        self._feed.epoch = epoch
        self._told = self._outputs.of(self._feed)

    def __len__(self):
        return len(self._feed)

    def __getitem__(self, index):
        x, y, *weights = self._feed[index]
        chosen = self._feed.chosen(index)
        if isinstance(self._feed, epochs_lib.Listed):
            told = self._told[chosen]
        else:
            told = tuple(part[chosen] for part in self._told)
        return (x, (y, told), *weights)


def _are_images(data):
    """Whether batches are known images; a user's class may change them."""
    return type(data) is batches_lib.Batches


def _first(batch):
    x = batch[0] if isinstance(batch, tuple) else batch
    return keras.tree.flatten(x)[0]
