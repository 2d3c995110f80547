"""Data of any form, read again and again: arrays, files, folders, data sets.

The order and batches of arrays depend only on the seed and the epoch, so that a
resumed training gets the same batches.
"""

import copy
import functools
import hashlib
import itertools
import pathlib

import keras

from tfprune.datasets import batches as batches_lib
from tfprune.datasets import samples
from tfprune.datasets import streams
from tfprune.pipeline.request import data_files
from tfprune.pipeline.request import epochs as epochs_lib
from tfprune.pipeline.request import sample_parts as parts_lib

_LOOKED_AT = 4  # Batches by which data are told from others.


class Source:
    """Training or validation data.

    Args:
        data: what `fit` takes: arrays `(x, y)` or `(x, y, weights)`, each of
            them an array or a list or `dict` of arrays; batches of them as a
            `tf.data.Dataset`, a `keras.utils.PyDataset` or a list; or a
            `str`: the path of an `.npz` or `.npy` file, a folder of images
            with a folder for each class, or `"tfds:name:split"`. Inputs
            alone are their own targets.
        purpose: `str`, in the words of an error: "training".
        model: the `keras.Model` that reads them.
        label_mode: how folders of images are labeled: "int", "categorical"
            or "binary". Class indices of files and of TensorFlow Datasets
            become one-hot rows for "categorical".
        batch_size: `int`, for arrays, files and folders.
        seed: `int`, of the order.
        keeps_labels: `bool`, whether such class indices stay what they are.

    Attributes:
        classes: list of `str`, the folders of images; `None` for other data.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ImportError: If tensorflow_datasets is needed and missing.
        ValueError: If the data can be read only once, do not end, or are
            none of these.
    """

    def __init__(
        self,
        data,
        purpose,
        model,
        label_mode="int",
        batch_size=64,
        seed=0,
        keeps_labels=False,
    ):
        self.purpose, self.batch_size, self.seed = purpose, batch_size, seed
        if isinstance(data, (str, pathlib.Path)):
            data = data_files.opened(
                *(str(data), purpose, model, label_mode, batch_size, seed),
                keeps_labels,
            )
        if isinstance(data, batches_lib.Batches):
            # Not from where an earlier `fit` left them.
            data = _from_epoch(data, 0)
        samples.check_repeatable(data, purpose)
        _check_ends(data, purpose)
        _check_no_lists(data, purpose)
        self.data = data
        self.classes = getattr(data, "class_names", None)
        self.is_arrays = _is_arrays(data)
        self._total = self._number = self._chosen = None
        if self.is_arrays:
            self.data = parts_lib.of(data)
            self._check_lengths()

    def _check_lengths(self):
        lengths = {
            len(a) for a in keras.tree.flatten(parts_lib.given(self.data))
        }
        if len(lengths) != 1 or lengths == {0}:
            raise ValueError(
                "All arrays must hold the same number of samples, at least "
                f"one. Received: arrays of {sorted(lengths)} samples for "
                f"{self.purpose}."
            )

    def epochs(self, first=0):
        """What `fit` takes, with `shuffle=False`, from an epoch on."""
        if self.is_arrays:
            return epochs_lib.Shuffled(
                self.data, self.batch_size, self.seed, first
            )
        if isinstance(self.data, batches_lib.Batches):
            return _from_epoch(self.data, first)
        if isinstance(self.data, (list, tuple)):
            return epochs_lib.Listed(self.data, self.seed, first)
        if not streams.is_for_fit(self.data):
            return streams.Streamed(self.data, _batch_for_fit, self._number)
        if self._gives_targets:
            return self.data
        if isinstance(self.data, keras.utils.PyDataset):
            return epochs_lib.Targeted(self.data)
        return self.data.map(_with_targets)

    @functools.cached_property
    def _gives_targets(self):
        """Whether batches have targets, as `fit` needs them."""
        batch = next(iter(self._iterate(1)), ())
        return isinstance(batch, tuple) and any(
            part is not None for part in batch[1:2]
        )

    def batches(self, batch_size=256, limit=None):
        """Yields `(x, y, weights)`, numpy, in the order of the data.

        Several inputs are a list or a `dict`, whatever the data hold: a tuple
        would be taken for inputs and targets.

        Args:
            batch_size: `int`, for arrays.
            limit: `int`, samples at most.
        """
        seen = number = 0
        for batch in self._iterate(batch_size):
            part = parts_lib.as_numpy(parts_lib.of(batch))
            count = self._count(part)
            if limit is not None and seen + count > limit:
                count = limit - seen
                part = parts_lib.rows(part, slice(count))
            yield part
            seen += count
            number += 1
            if seen == limit:
                return
        self._total, self._number = seen, number

    def _count(self, batch):
        """`int`, the samples of a batch."""
        shapes = [a.shape for a in keras.tree.flatten(parts_lib.given(batch))]
        if not all(shapes):
            raise ValueError(
                f"Data for {self.purpose} must come in batches. Received: "
                f"data of type {type(self.data).__name__} with parts of shape "
                f"{', '.join(map(str, shapes))}. Batch them, as in "
                "data.batch(32)."
            )
        return shapes[0][0]

    def first(self, count):
        """`(x, y, weights)` of samples at the beginning, one batch at most."""
        for batch in self.batches(count, count):
            return batch
        raise ValueError(
            f"Samples are needed for {self.purpose}. Received: data of type "
            f"{type(self.data).__name__} that gives none."
        )

    def _iterate(self, batch_size):
        if self.is_arrays:
            for start in range(0, parts_lib.count(self.data[0]), batch_size):
                yield parts_lib.rows(
                    self.data, slice(start, start + batch_size)
                )
        else:
            yield from streams.each_batch(self.data)

    def some(self, count):
        """`(x, y, weights)` of some samples, at even distances, numpy.

        Data may come class by class.
        """
        if self.is_arrays:
            return parts_lib.as_numpy(parts_lib.thinned(self.data, count))
        if self._chosen is None or self._chosen[0] < count:
            self._chosen = count, self._thinned(count)
        return parts_lib.thinned(self._chosen[1], count)

    def _thinned(self, count):
        """Samples of batches, as of `some`, in one pass."""
        if self._total is None:
            for _ in self.batches():
                pass
        chosen, before, found = parts_lib.spread(self._total, count), 0, []
        for part in self.batches():
            size = self._count(part)
            here = chosen[(chosen >= before) & (chosen < before + size)]
            if len(here):
                found.append(parts_lib.rows(part, here - before))
            before += size
        return parts_lib.joined(found)

    def digest(self):
        """A hash of arrays, or of the first batches of other data.

        Batches that are shuffled or augmented are others each time, or in each
        epoch: of these, only the shapes count.
        """
        if self.is_arrays:
            return _hash(self.batches())
        if not _changes(self.data):
            twice = [
                _hash(itertools.islice(self.batches(), _LOOKED_AT))
                for _ in range(2)
            ]
            if twice[0] == twice[1]:
                return twice[0]
        return _hash(self.batches(limit=self.batch_size), values=False)


def _changes(data):
    """Whether data may be others after an epoch, by what `fit` calls then."""
    base, own = keras.utils.PyDataset, type(data)
    if not isinstance(data, base) or isinstance(data, batches_lib.Batches):
        return False
    return (own.on_epoch_begin, own.on_epoch_end) != (
        base.on_epoch_begin,
        base.on_epoch_end,
    )


def _from_epoch(batches, epoch):
    """The same `Batches` from an epoch on.

    Of their own class, which may make something else of a batch.
    """
    found = copy.copy(batches)
    found.epoch = epoch
    return found


def _batch_for_fit(batch):
    parts = parts_lib.as_numpy(parts_lib.of(batch))
    return parts_lib.for_fit(parts_lib.given(parts))


def _with_targets(*batch):
    """A batch of a `tf.data.Dataset` with its inputs as targets."""
    return parts_lib.given(parts_lib.of(batch))


def _hash(batches, values=True):
    found = hashlib.sha256()
    for part in batches:
        for array in keras.tree.flatten(parts_lib.given(part)):
            found.update(str((array.shape, array.dtype)).encode())
            if values:
                found.update(samples.as_bytes(array))
    return found.hexdigest()


def _is_arrays(data):
    if isinstance(data, tuple):
        return all(_is_arrays(part) for part in data if part is not None)
    if isinstance(data, (list, dict)):
        leaves = keras.tree.flatten(data)
        pairs = any(isinstance(part, tuple) for part in data)
        return (
            bool(leaves)
            and not pairs
            and all(hasattr(leaf, "shape") for leaf in leaves)
        )
    return hasattr(data, "shape")


def check_classes(train, validation):
    """Raises a `ValueError` if two folders of images name other classes.

    Classes are numbered in the order of their folders, so that one more or
    less gives all behind it another number.

    Args:
        train, validation: `Source`s.
    """
    if train.classes is None or validation.classes is None:
        return
    if list(train.classes) == list(validation.classes):
        return
    only = [
        f"{name!r} only in {one.purpose}"
        for one, other in ((train, validation), (validation, train))
        for name in one.classes
        if name not in other.classes
    ]
    raise ValueError(
        "Images for training and validation must have the same folders of "
        f"classes. Received: {', '.join(only) or 'another order'}. Make the "
        "folders alike; one of a class without images may be empty."
    )


def _check_no_lists(data, purpose):
    """Raises a `ValueError` for numbers in lists, which are no arrays."""
    if not isinstance(data, (list, tuple, dict)):
        return
    for leaf in keras.tree.flatten(data):
        if isinstance(leaf, (bool, int, float, str)):
            raise ValueError(
                f"Data for {purpose} must be arrays, or batches of arrays. "
                f"Received: a {type(data).__name__} with {leaf!r} in it. "
                "Convert lists, as in (numpy.asarray(x), numpy.asarray(y))."
            )


def _check_ends(data, purpose):
    if data is None:
        raise ValueError(
            f"Data are needed for {purpose}. Received: None. Pass (x, y), a "
            "tf.data.Dataset, a keras.utils.PyDataset, or the path of an "
            ".npz file or of a folder of images."
        )
    endless = int(getattr(data, "cardinality", lambda: 0)()) == -1
    if isinstance(data, keras.utils.PyDataset):
        endless = data.num_batches is None
    if endless:
        raise ValueError(
            f"Finite data are needed for {purpose}. Received: an infinite "
            f"{type(data).__name__}. Limit it, as in data.take(50)."
        )
    if not _is_arrays(data) and not hasattr(data, "__iter__"):
        if not isinstance(data, keras.utils.PyDataset):
            raise ValueError(
                f"Data for {purpose} must be arrays, or give batches. "
                f"Received: data of type {type(data).__name__}."
            )
