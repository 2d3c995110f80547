"""From arrays to `fit`: preprocessing, augmentation, batches.

Uses numpy only, so that it runs on every backend.
"""

import dataclasses
import math

import keras
import numpy as np

_CHUNK = 1000  # Images that are augmented at a time.


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
        """Holds out a random fraction of every class.

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
    """A network's preprocessing of raw values: `(x * scale - mean) / std`.

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
        # Broadcasting over whole rows is ten times faster than over channels.
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
    """Random augmentation of training images.

    Attributes:
        padding: Pixels of zero padding on every side before a random crop to
            the original size.
        flip: Whether to flip images horizontally with probability 1/2.
    """

    padding: int = 4
    flip: bool = True

    def __call__(self, images, rng):
        """Augments each image independently.

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

    Order and augmentation depend only on (seed, epoch, index), so a resumed
    run continues with the same batches. Pass `shuffle=False` to `fit`: this
    class shuffles the images itself.

    Args:
        split: A `Split`.
        batch_size: Images per batch; the last batch may have fewer.
        preprocessing: `Preprocessing`.
        augmentation: `Augmentation`, or `None`.
        seed: An `int`; `None` keeps the order and allows no augmentation.
        epoch: The first epoch, as `initial_epoch` of `fit`. Epochs count
            themselves; `callbacks.Backup(data=batches)` sets the attribute of
            this name when training resumes.
        views: An `int`, in how many ways each image is augmented: epoch `e`
            shows view `e % views` of every image, so that a teacher's outputs
            can be computed once. By default each epoch has its own. A view
            is kept in memory, as large as the images.

    Raises:
        ValueError: If there is augmentation without a seed, or no image, or
            `views` is no positive number.

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
        views=None,
    ):
        super().__init__()
        check(split, batch_size, augmentation, seed)
        if views is not None and (not isinstance(views, int) or views < 1):
            raise ValueError(
                "`views` must be a whole number, at least 1, or None. "
                f"Received: views={views!r}."
            )
        self.split = split
        self.batch_size = batch_size
        self.preprocessing = preprocessing
        self.augmentation = augmentation
        self.seed = seed
        self.views = views
        self._seen = (None, None)
        self.epoch = epoch

    @property
    def view(self):
        """`int`, the view of this epoch; `None` if each has its own."""
        return None if self.views is None else self.epoch % self.views

    def images_of_view(self):
        """All images as this epoch's view shows them, not preprocessed."""
        if self.augmentation is None or self.view is None:
            return self.split.x
        view, images = self._seen
        if view != self.view:
            images = np.empty_like(self.split.x)
            for start in range(0, len(images), _CHUNK):
                rng = np.random.default_rng((self.seed, self.view, start))
                part = slice(start, start + _CHUNK)
                images[part] = self.augmentation(self.split.x[part], rng)
            self._seen = (self.view, images)
        return images

    def chosen(self, index):
        """The positions of a batch's images in the split, `(batch,)`."""
        start = index * self.batch_size
        return self._order[start : start + self.batch_size]

    @property
    def epoch(self):
        """`int`, which order and augmentation depend on."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch):
        self._epoch = epoch
        self._read_to_the_end = False
        self._order = self._draw_order()

    def __len__(self):
        return math.ceil(len(self.split) / self.batch_size)

    def __getitem__(self, index):
        """Batch `index` of this epoch: float32 images, labels."""
        if index == len(self) - 1:
            self._read_to_the_end = True
        chosen = self.chosen(index)
        images = self.images_of_view()[chosen]
        if self.augmentation is not None and self.views is None:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            images = self.augmentation(images, rng)
        return self.preprocessing(images), self.split.y[chosen]

    def on_epoch_begin(self):
        # `fit` begins and ends epochs without reading them, too: to build a
        # model from the first batch, and to reset.
        if self._read_to_the_end:
            self.epoch += 1

    def _draw_order(self):
        if self.seed is None:
            return np.arange(len(self.split))
        rng = np.random.default_rng((self.seed, self.epoch))
        return rng.permutation(len(self.split))


def check(split, batch_size, augmentation=None, seed=None):
    """Raises a `ValueError` if these arguments cannot make batches."""
    if len(split) == 0:
        raise ValueError(
            "A split must have images. "
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
            f"Received: augmentation={augmentation!r}, seed=None. Pass an "
            "int, or no augmentation to keep images and order."
        )
