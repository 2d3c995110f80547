"""Data of any form, read again and again: arrays, files, folders, data sets.

The order and batches of arrays depend only on the seed and the epoch, so that a
resumed training gets the same batches.
"""

import functools
import hashlib
import math
import pathlib

import keras
import numpy as np

from tfprune.core import packages
from tfprune.core.files import array_files
from tfprune.datasets import batches as batches_lib
from tfprune.datasets import samples

TFDS = "tfds:"
_BUFFER = 10_000  # Samples that are shuffled at a time.
_ARRAYS = (".npz", ".npy")


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
        label_mode: for folders of images: "int", "categorical" or "binary".
        batch_size: `int`, for arrays, files and folders.
        seed: `int`, of the order.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ImportError: If tensorflow_datasets is needed and missing.
        ValueError: If the data can be read only once, do not end, or are
            none of these.
    """

    def __init__(
        self, data, purpose, model, label_mode="int", batch_size=64, seed=0
    ):
        self.purpose, self.batch_size, self.seed = purpose, batch_size, seed
        if isinstance(data, (str, pathlib.Path)):
            data = _opened(
                str(data), purpose, model, label_mode, batch_size, seed
            )
        samples.check_repeatable(data, purpose)
        _check_ends(data, purpose)
        self.data = data
        self.is_arrays = _is_arrays(data)
        if self.is_arrays:
            self.data = _with_targets(_parts(data))
            self._check_lengths()

    def _check_lengths(self):
        lengths = {len(a) for a in keras.tree.flatten(_given(self.data))}
        if len(lengths) != 1 or lengths == {0}:
            raise ValueError(
                "All arrays must hold the same number of samples, at least "
                f"one. Received: arrays of {sorted(lengths)} samples for "
                f"{self.purpose}."
            )

    def epochs(self, first=0):
        """What `fit` takes, with `shuffle=False`, from an epoch on."""
        if self.is_arrays:
            return _Epochs(self.data, self.batch_size, self.seed, first)
        if isinstance(self.data, batches_lib.Batches):
            old = self.data
            return batches_lib.Batches(
                old.split,
                old.batch_size,
                old.preprocessing,
                old.augmentation,
                old.seed,
                first,
                old.views,
            )
        if isinstance(self.data, (list, tuple)):
            return Listed(self.data, self.seed, first)
        return self.data

    def batches(self, batch_size=256, limit=None):
        """Yields `(x, y, weights)`, numpy, in the order of the data.

        Several inputs are a list or a `dict`, whatever the data hold: a tuple
        would be taken for inputs and targets.

        Args:
            batch_size: `int`, for arrays.
            limit: `int`, samples at most.
        """
        seen = 0
        for batch in self._iterate(batch_size):
            parts = map(_listed, _with_targets(_parts(batch)))
            part = keras.tree.map_structure(_numpy, tuple(parts))
            count = len(keras.tree.flatten(part[0])[0])
            if limit is not None and seen + count > limit:
                count = limit - seen
                part = keras.tree.map_structure(_taker(slice(count)), part)
            yield part
            seen += count
            if seen == limit:
                return

    def _iterate(self, batch_size):
        if self.is_arrays:
            count = len(keras.tree.flatten(self.data[0])[0])
            for start in range(0, count, batch_size):
                take = _taker(slice(start, start + batch_size))
                yield keras.tree.map_structure(take, self.data)
        elif isinstance(self.data, keras.utils.PyDataset):
            for number in range(self.data.num_batches):
                yield self.data[number]
        else:
            yield from self.data

    def some(self, count):
        """`(x, y)` of some samples, at even distances where that is known."""
        if self.is_arrays:
            total = len(keras.tree.flatten(self.data[0])[0])
            chosen = np.unique(np.linspace(0, total - 1, count).astype(int))
            take = _taker(chosen)
            found = keras.tree.map_structure(take, self.data)
            parts = tuple(map(_listed, found[:2]))
            return keras.tree.map_structure(_numpy, parts)
        parts = [(x, y) for x, y, _ in self.batches(limit=count)]
        return keras.tree.map_structure(lambda *a: np.concatenate(a), *parts)

    def digest(self):
        """A hash of the data; of what is not in arrays, of its beginning."""
        found = hashlib.sha256()
        limit = None if self.is_arrays else self.batch_size
        for part in self.batches(limit=limit):
            for array in keras.tree.flatten(_given(part)):
                found.update(str((array.shape, array.dtype)).encode())
                # Shuffled batches are others each time; their shapes stay.
                if self.is_arrays:
                    found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()


class _Epochs(keras.utils.PyDataset):
    """Batches of arrays in an order of each epoch's own."""

    def __init__(self, arrays, batch_size, seed, epoch):
        super().__init__()
        self._arrays, self._batch_size = _given(arrays), batch_size
        self._seed, self.epoch = seed, epoch
        self._count = len(keras.tree.flatten(arrays[0])[0])

    def __len__(self):
        return math.ceil(self._count / self._batch_size)

    def __getitem__(self, index):
        take = _taker(self.chosen(index))
        return _for_fit(keras.tree.map_structure(take, self._arrays))

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
        return _for_fit(_given(_with_targets(_parts(batch))))

    def chosen(self, index):
        """The position of a batch in the list."""
        return _order(self._seed, self.epoch, len(self._batches))[index]


@functools.lru_cache(2)
def _order(seed, epoch, count):
    return np.random.default_rng((seed, epoch)).permutation(count)


def _parts(data):
    """`(x, y, weights)` of data or of a batch; `None` for what is missing."""
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            "Data must be x, (x, y) or (x, y, weights). Received: a tuple of "
            f"{len(data)}. Pass several inputs as a list or a dict."
        )
    return (*data, None, None)[:3]


def _with_targets(parts):
    x, y, weights = parts
    return x, (x if y is None else y), weights


def _given(parts):
    """The parts without weights that are not there."""
    return parts[:2] if parts[2] is None else parts


def _for_fit(part):
    """A batch without lists, which TensorFlow takes for tensors."""
    return _changed(part, tuple)


def _listed(part):
    """Inputs, targets or weights without tuples."""
    return _changed(part, list)


def _changed(part, kind):
    if isinstance(part, dict):
        return {name: _changed(value, kind) for name, value in part.items()}
    if isinstance(part, (list, tuple)):
        return kind(_changed(value, kind) for value in part)
    return part


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


def _numpy(part):
    if part is None or isinstance(part, np.ndarray):
        return part
    return keras.ops.convert_to_numpy(part)


def _taker(rows):
    def take(part):
        if part is None or isinstance(rows, slice):
            return part if part is None else part[rows]
        return np.asarray(part)[rows]

    return take


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


def _opened(text, purpose, model, label_mode, batch_size, seed):
    """What a `str` stands for."""
    if text.startswith(TFDS):
        return _from_tfds(text[len(TFDS) :], purpose, batch_size, seed)
    path = pathlib.Path(text)
    if path.is_dir():
        return _images(path, purpose, model, label_mode, batch_size, seed)
    if not path.is_file():
        raise FileNotFoundError(
            f"Data for {purpose} must be an existing file, a folder of "
            f"images or {TFDS}NAME:SPLIT. Received: {text!r}."
        )
    if path.suffix not in _ARRAYS:
        raise ValueError(
            f"Data for {purpose} must be a file that ends in "
            f"{' or '.join(_ARRAYS)}, a folder of images or "
            f"{TFDS}NAME:SPLIT. Received: {text!r}."
        )
    found = array_files.read(path)
    if isinstance(found, dict):
        return _named(found, text, purpose)
    return found


def _named(arrays, text, purpose):
    """`(x, y, weights)` of the arrays of a file, by their names."""

    def part(letter):
        if letter in arrays:
            return arrays.pop(letter)
        prefix = f"{letter}_"
        names = [name for name in arrays if name.startswith(prefix)]
        return {n[len(prefix) :]: arrays.pop(n) for n in names} or None

    weights = arrays.pop("sample_weight", None)
    x, y = part("x"), part("y")
    if x is None or arrays:
        others = f", besides {', '.join(arrays)}" if x is not None else ""
        raise ValueError(
            "A file of data must hold x and y (x_NAME and y_NAME for several "
            "inputs and outputs) and, if wanted, sample_weight. Received: "
            f"{text!r} for {purpose}, which has "
            f"{'these' if x is not None else 'no x'}{others}."
        )
    return x, y, weights


def _from_tfds(name, purpose, batch_size, seed):
    name, _, split = name.partition(":")
    if not split:
        split = "train" if purpose == "training" else "test"
    tfds = packages.load("tensorflow_datasets", "data", f"Reading {TFDS}{name}")
    try:
        data = tfds.load(
            name,
            split=split,
            as_supervised=True,
            download=False,
            shuffle_files=False,
        )
    except AssertionError as error:
        raise FileNotFoundError(
            "A prepared data set is required. Received: "
            f"{TFDS}{name}:{split} for {purpose}, which is not in "
            "$TFDS_DATA_DIR or ~/tensorflow_datasets. Prepare it with "
            f"`tfds build {name}`."
        ) from error
    if purpose == "training":
        data = data.shuffle(_BUFFER, seed)
    return data.batch(batch_size).prefetch(2)


def _images(path, purpose, model, label_mode, batch_size, seed):
    """A folder of images with a folder for each class."""
    shape = tuple(model.inputs[0].shape[1:])
    if len(model.inputs) != 1 or len(shape) != 3 or None in shape:
        raise ValueError(
            "A folder of images is for a model with one input of shape "
            f"(height, width, channels). Received: {str(path)!r} for inputs "
            f"of shape {[tuple(t.shape[1:]) for t in model.inputs]}."
        )
    modes = {1: "grayscale", 3: "rgb", 4: "rgba"}
    if shape[-1] not in modes:
        raise ValueError(
            "Images have 1, 3 or 4 channels. Received: a model that reads "
            f"{shape[-1]}."
        )
    return keras.utils.image_dataset_from_directory(
        path,
        labels="inferred",
        label_mode=label_mode,
        color_mode=modes[shape[-1]],
        image_size=shape[:2],
        batch_size=batch_size,
        shuffle=purpose == "training",
        seed=seed,
        verbose=False,
    )
