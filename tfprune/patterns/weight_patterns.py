"""Patterns: the geometry of a mask.

A pattern turns scores, an array of a kernel's shape, into a boolean mask of
that shape (`True` keeps a weight). It does not depend on layers: `Axes` says
which axes of the kernel read channels and which write them.
"""

import dataclasses
import math
import numbers

import numpy as np

from tfprune.core import records
from tfprune.core import registry
from tfprune.patterns import allocation

PATTERNS = registry.Registry("pattern")


@dataclasses.dataclass(frozen=True)
class Axes:
    """What the axes of a kernel mean.

    Attributes:
        reads: tuple of `int`s, the axes of the input channels.
        writes: tuple of `int`s, the axes of the output channels. The others
            are positions (height and width of a convolution).
    """

    reads: tuple
    writes: tuple

    def matrices(self, array):
        """The kernel as `(positions, outputs, inputs)`."""
        return self._moved(array).reshape(self._sizes(array.shape))

    def restored(self, matrices, shape):
        """The inverse of `matrices` for a kernel of this `shape`."""
        order = self._order(len(shape))
        moved = matrices.reshape([shape[axis] for axis in order])
        return np.transpose(moved, np.argsort(order))

    def _order(self, rank):
        channels = self.writes + self.reads
        positions = [axis for axis in range(rank) if axis not in channels]
        return (*positions, *channels)

    def _moved(self, array):
        return np.transpose(array, self._order(array.ndim))

    def _sizes(self, shape):
        inputs = math.prod(shape[axis] for axis in self.reads)
        outputs = math.prod(shape[axis] for axis in self.writes)
        return -1, outputs, inputs


def default_axes(rank):
    """Returns `(..., inputs, outputs)`, the layout of most Keras kernels."""
    if rank < 2:
        return Axes((), tuple(range(rank)))
    return Axes((rank - 2,), (rank - 1,))


class Pattern(records.Record):
    """Base class of patterns; subclasses are frozen dataclasses."""

    def mask(self, scores, sparsity, axes=None):
        """Computes the mask of one kernel.

        Args:
            scores: array of the kernel's shape; the highest stay.
            sparsity: `float`, the fraction to remove.
            axes: `Axes`; defaults to `(..., inputs, outputs)`.

        Returns:
            `bool` array of the same shape.
        """
        return self.masks([scores], sparsity, [axes])[0]

    def masks(self, scores, sparsity, axes):
        """Computes the masks of kernels that share a sparsity, as lists."""
        raise NotImplementedError

    def check(self, sparsity):
        """Raises a `ValueError` if the pattern cannot reach the sparsity."""


@PATTERNS.register("unstructured")
@dataclasses.dataclass(frozen=True)
class Unstructured(Pattern):
    """Masks single weights.

    Args:
        allocation: how kernels share the sparsity: `"layer"` (each the same),
            `"global"` (one ranking over all) or `"erk"` (small kernels stay
            denser, see `allocation.erk_densities`).

    Example:

    >>> Unstructured().mask(np.array([[3.0, 1.0], [2.0, 4.0]]), 0.5)
    array([[ True, False],
           [False,  True]])
    """

    allocation: str = "layer"

    def __post_init__(self):
        allocation.check(self.allocation)

    def masks(self, scores, sparsity, axes):
        scores = [np.asarray(s) for s in scores]
        shapes = [s.shape for s in scores]
        return allocation.ALLOCATIONS[self.allocation](scores, shapes, sparsity)


@PATTERNS.register("block")
@dataclasses.dataclass(frozen=True)
class Block(Pattern):
    """Masks blocks of a kernel's matrix of outputs and inputs.

    At every position of a convolution, the kernel is a matrix `(outputs,
    inputs)`, which is also TFLite's layout of dense kernels. If a dimension
    is not a multiple of the block's, the last blocks are smaller. A block's
    score is the mean of its weights' scores. The number of blocks removed is
    exact, not the number of weights.

    Args:
        shape: `(outputs, inputs)` of a block, such as `(1, 4)`.
        allocation: as in `Unstructured`, over blocks.
    """

    shape: tuple
    allocation: str = "layer"

    def __post_init__(self):
        shape = tuple(self.shape)
        if len(shape) != 2 or not all(_is_positive(n) for n in shape):
            raise ValueError(
                "`shape` must be two positive ints, outputs and inputs of a "
                f"block. Received: shape={self.shape!r}"
            )
        object.__setattr__(self, "shape", shape)
        allocation.check(self.allocation)

    def masks(self, scores, sparsity, axes):
        scores = [np.asarray(s) for s in scores]
        axes = [a or default_axes(s.ndim) for a, s in _pairs(axes, scores)]
        units = [self._means(a.matrices(s)) for a, s in _pairs(axes, scores)]
        shapes = [s.shape for s in scores]
        kept = allocation.ALLOCATIONS[self.allocation](units, shapes, sparsity)
        return [
            a.restored(self._spread(k, a.matrices(s).shape), s.shape)
            for k, a, s in zip(kept, axes, scores, strict=True)
        ]

    def _means(self, matrices):
        sums, counts = matrices.astype(float), np.ones(matrices.shape[1:])
        for axis, length in zip((-2, -1), self.shape, strict=True):
            starts = np.arange(0, matrices.shape[axis], length)
            sums = np.add.reduceat(sums, starts, axis)
            counts = np.add.reduceat(counts, starts, axis)
        return sums / counts

    def _spread(self, kept, shape):
        for axis, length in zip((-2, -1), self.shape, strict=True):
            kept = np.repeat(kept, length, axis)
        return kept[:, : shape[1], : shape[2]]


@PATTERNS.register("n_m")
@dataclasses.dataclass(frozen=True)
class NM(Pattern):
    """Keeps at most `n` weights of every `m` consecutive input channels.

    At a sparsity below the pattern's own `1 - n / m`, every group keeps
    `m - floor(sparsity * m)` weights, so a schedule tightens the pattern step
    by step. An incomplete last group of `r < m` channels keeps the same
    fraction, rounded up.

    Args:
        n: `int`, number of weights to keep per group.
        m: `int`, length of a group.

    Example:

    >>> NM(2, 4).mask(np.abs([[0.1], [-0.5], [0.3], [0.2]]), 0.5)[:, 0]
    array([False,  True,  True, False])

    Reference:

    - Mishra et al., "Accelerating sparse deep neural networks", 2021,
      https://arxiv.org/abs/2104.08378
    """

    n: int = 2
    m: int = 4

    def __post_init__(self):
        if not (_is_positive(self.n) and _is_positive(self.m)):
            raise ValueError(
                "`n` and `m` must be positive ints. Received: "
                f"n={self.n!r}, m={self.m!r}"
            )
        if self.n > self.m:
            raise ValueError(
                f"`n` must not exceed `m`. Received: n={self.n!r}, m={self.m!r}"
            )

    def check(self, sparsity):
        if sparsity > 1 - self.n / self.m + 1e-6:
            raise ValueError(
                f"{self.n}:{self.m} can be {1 - self.n / self.m:g} sparse at "
                f"most. Received: sparsity={sparsity:g}. End the schedule "
                "there, or choose another pattern."
            )

    def masks(self, scores, sparsity, axes):
        self.check(sparsity)
        return [
            self._mask(np.asarray(s), sparsity, a)
            for a, s in _pairs(axes, scores)
        ]

    def _mask(self, scores, sparsity, axes):
        axes = axes or default_axes(scores.ndim)
        matrices = axes.matrices(scores)
        inputs = matrices.shape[-1]
        groups = -(-inputs // self.m)
        # Padding gets the lowest score, so that it is removed first.
        padded = np.full((*matrices.shape[:-1], groups * self.m), -np.inf)
        padded[..., :inputs] = matrices
        padded = padded.reshape(*matrices.shape[:-1], groups, self.m)
        order = np.argsort(padded, axis=-1, kind="stable")
        rank = np.argsort(order, axis=-1, kind="stable")
        kept = rank >= self.m - self._kept(inputs, sparsity)[:, None]
        kept = kept.reshape(*matrices.shape[:-1], -1)[..., :inputs]
        return axes.restored(kept, scores.shape)

    def _kept(self, inputs, sparsity):
        """How many stay in each group, `(groups,)`."""
        full = max(self.n, self.m - math.floor(sparsity * self.m + 1e-6))
        kept = np.full(-(-inputs // self.m), full)
        rest = inputs % self.m
        if rest:
            kept[-1] = -(-full * rest // self.m)
        return kept


def _is_positive(value):
    return isinstance(value, numbers.Integral) and value > 0


def _pairs(axes, scores):
    return zip(axes, scores, strict=True)
