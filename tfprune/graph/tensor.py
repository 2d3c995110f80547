"""What the graph knows of a tensor: its shape and its channels' labels."""

import dataclasses
import functools
import math

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the model as the rules see it.

    Attributes:
        shape: tuple of ints; `None` where a size is unknown.
        labels: int64 array of the rank of `shape`; along each axis it has the
            tensor's size, or 1 where the labels do not differ.
        dtype: `str`, the dtype's name.
        rows: `int`, how many rows of the batch one sample has; more than 1
            where an op has moved other axes into the batch.
        alike: `bool`, whether the channels of each layer that made some have
            one value, as those of a mask that is spread over them.
        batch: `int`, the axis of the batch.
    """

    shape: tuple
    labels: np.ndarray
    dtype: str = "float32"
    rows: int = 1
    alike: bool = False
    batch: int = 0

    @property
    def rank(self):
        return len(self.shape)

    @property
    def varying(self):
        """The axes along which the labels differ."""
        return tuple(a for a, n in enumerate(self.labels.shape) if n > 1)

    @property
    def axes(self):
        """The 1-D label arrays whose channels this tensor holds."""
        return tuple(
            np.take(self.labels.reshape(-1), _along(self.labels.shape, axis))
            for axis in self.varying
        )

    @property
    def other_size(self):
        """Elements of one sample for each combination of channels."""
        varying = self.varying
        return self.rows * math.prod(
            1 if n is None else n
            for a, n in enumerate(self.shape)
            if a != self.batch and a not in varying
        )

    @functools.cached_property
    def parts(self):
        """The axes of one sample: for each an `int`, or its channels' labels.

        Unknown sizes count as 1. Rows that an op has put into the batch are
        rows of the sample.
        """
        along = dict(zip(self.varying, self.axes, strict=True))
        sizes = [along.get(a, n or 1) for a, n in enumerate(self.shape)]
        del sizes[self.batch : self.batch + 1]
        if self.rows == 1:
            return tuple(sizes)
        if len(sizes) > 1 and not isinstance(sizes[0], np.ndarray):
            return (self.rows * sizes[0], *sizes[1:])
        return (self.rows, *sizes)

    def renumbered(self, number):
        """The tensor with other labels.

        Args:
            number: int array, the new label of each old one.
        """
        return self.replace(labels=number[self.labels])

    def replace(self, **changes):
        return dataclasses.replace(self, **changes)


@dataclasses.dataclass(frozen=True, eq=False)
class Constant:
    """An array written into the model's config as an argument of a call.

    Attributes:
        value: numpy array.
        keys: tuple, where the nested list of values stands in the document.
    """

    value: np.ndarray
    keys: tuple


def _along(shape, axis):
    stride = math.prod(shape[axis + 1 :])
    return np.arange(shape[axis]) * stride


def on_axis(labels, rank, axis):
    """1-D labels as an array of `rank` axes that differs along `axis`."""
    shape = [1] * rank
    shape[axis] = -1
    return np.asarray(labels).reshape(shape)
