"""What stands between arrays and `fit`: preprocessing, crops, batches.

numpy only, so that it runs on every backend.
"""

import dataclasses
import math

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class Split:
    """Images and their labels.

    Attributes:
        x: `(N, H, W, C)`, pixels as `uint8` or floats.
        y: `(N,)` class indices, `int64`.
    """

    x: np.ndarray
    y: np.ndarray

    def __len__(self):
        return len(self.y)

    def take(self, indices):
        """The images at `indices`, in that order."""
        return Split(self.x[indices], self.y[indices])

    def hold_out(self, fraction, seed):
        """Takes a fraction of every class out, drawn at random.

        Args:
            fraction: A `float` in (0, 1), rounded to images per class.
            seed: An `int`.

        Returns:
            `(rest, held_out)`, two `Split`s in the order of this one.
        """
        rng = np.random.RandomState(seed)
        held_out = np.zeros(len(self), bool)
        for label in np.unique(self.y):
            members = rng.permutation(np.flatnonzero(self.y == label))
            held_out[members[: round(fraction * len(members))]] = True
        return self.take(~held_out), self.take(held_out)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What a network wants done to raw values: `(x * scale - mean) / std`.

    Attributes:
        scale: A `float`; 1 / 255 for pixels.
        mean: One `float` per channel, or a single one.
        std: Likewise.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def affine(self):
        """`(factor, shift)`, float32 arrays: the result is x * f - s."""
        std = np.asarray(self.std, "float64")
        factor = self.scale / std
        shift = np.asarray(self.mean, "float64") / std
        return factor.astype("float32"), shift.astype("float32")

    def __call__(self, images):
        """The values as `float32`, of the same shape `(..., W, C)`."""
        images = np.asarray(images)
        *outer, width, channels = images.shape
        # Ten times faster over whole rows than over three channels.
        factor, shift = (
            np.tile(np.broadcast_to(part, channels), width)
            for part in self.affine
        )
        rows = images.reshape(*outer, width * channels)
        rows = np.multiply(rows, factor, dtype="float32")
        rows -= shift
        return rows.reshape(images.shape)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes to training images.

    Attributes:
        padding: Pixels of zeros added on every side before a crop of the
            old size is taken at random.
        flip: Whether every other image is mirrored left to right.
    """

    padding: int = 4
    flip: bool = True

    def __call__(self, images, rng):
        """Changes images on their own, each by its own draw.

        Args:
            images: `(N, H, W, C)`, any dtype; not written to.
            rng: A `numpy.random.Generator`.

        Returns:
            An array of the same shape and dtype.
        """
        count, height, width, _ = images.shape
        pad = self.padding
        padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(
            padded, (height, width), (1, 2)
        )  # (N, 2 * pad + 1, 2 * pad + 1, C, H, W)
        top, left = rng.integers(0, 2 * pad + 1, (2, count))
        cropped = windows[np.arange(count), top, left].transpose(0, 2, 3, 1)
        if self.flip:
            mirrored = rng.random(count) < 0.5
            cropped[mirrored] = cropped[mirrored, :, ::-1]
        return np.ascontiguousarray(cropped)


class Batches(keras.utils.PyDataset):
    """Batches of a split for `fit`, `evaluate`, `predict` on any backend.

    Order and augmentation depend on (seed, epoch, index) alone, so a run
    that was stopped goes on with the same batches. Give `shuffle=False` to
    `fit`: images are shuffled here.

    Args:
        split: A `Split`.
        batch_size: Images per batch; the last batch may have fewer.
        preprocessing: `Preprocessing`.
        augmentation: `Augmentation`, or `None`.
        seed: An `int`; `None` keeps the order and allows no augmentation.
        epoch: The epoch to begin with, as `initial_epoch` of `fit`.

    Raises:
        ValueError: If there is augmentation without a seed, or no image.

    Example:

    >>> split = Split(np.zeros((40, 8, 8, 1)), np.arange(40))
    >>> batches = Batches(split, 32, Preprocessing(), seed=0)
    >>> [len(labels) for _, labels in batches]
    [32, 8]
    """

    def __init__(
        self,
        split,
        batch_size,
        preprocessing,
        augmentation=None,
        seed=None,
        epoch=0,
    ):
        super().__init__()
        check(split, batch_size, augmentation, seed)
        self.split = split
        self.batch_size = batch_size
        self.preprocessing = preprocessing
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = epoch
        self._read_to_the_end = False
        self._order = self._draw_order()

    def __len__(self):
        return math.ceil(len(self.split) / self.batch_size)

    def __getitem__(self, index):
        """Batch `index` of this epoch: float32 images, labels."""
        if index == len(self) - 1:
            self._read_to_the_end = True
        start = index * self.batch_size
        chosen = self._order[start : start + self.batch_size]
        images = self.split.x[chosen]
        if self.augmentation is not None:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            images = self.augmentation(images, rng)
        return self.preprocessing(images), self.split.y[chosen]

    def on_epoch_begin(self):
        # `fit` begins and ends epochs more often than it reads them: to
        # build a model from the first batch, and to reset.
        if self._read_to_the_end:
            self.epoch += 1
            self._order = self._draw_order()
            self._read_to_the_end = False

    def _draw_order(self):
        if self.seed is None:
            return np.arange(len(self.split))
        rng = np.random.default_rng((self.seed, self.epoch))
        return rng.permutation(len(self.split))


def check(split, batch_size, augmentation=None, seed=None):
    """Raises a `ValueError` where batches cannot be made of this."""
    if len(split) == 0:
        raise ValueError(
            "A split to read batches from must have images. "
            f"Received: split with x of shape {split.x.shape}."
        )
    if len(split.x) != len(split.y):
        raise ValueError(
            "Each image of a split needs one label. Received: "
            f"{len(split.x)} images, {len(split.y)} labels."
        )
    if batch_size < 1:
        raise ValueError(
            "`batch_size` must be at least 1. "
            f"Received: batch_size={batch_size!r}."
        )
    if augmentation is not None and seed is None:
        raise ValueError(
            "Augmentation needs a seed. "
            f"Received: augmentation={augmentation!r}, seed=None. Give an "
            "int, or no augmentation to keep images and order."
        )
