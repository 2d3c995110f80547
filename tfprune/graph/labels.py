"""Channel labels: one integer per channel, and what is known about them.

A label names a channel wherever it travels. Two labels that meet in an
elementwise operation must stay or go together, so they are *joined*; a label
whose channel must stay is *frozen*. Both are only written down while a model
is read and resolved once at the end, for all labels together.
"""

import math

import numpy as np


class LabelStore:
    """Hands out labels and collects what must hold between them."""

    def __init__(self):
        self.count = 0
        self.frozen = []  # (labels, layer, reason), in the order of reading
        self._joins = []

    def fresh(self, size):
        """`size` new labels, shape `(size,)`, int64."""
        labels = np.arange(self.count, self.count + size)
        self.count += size
        return labels

    def join(self, a, b):
        """Makes the channels of two label arrays stay or go together.

        Args:
            a: integer array.
            b: integer array, of a shape that broadcasts with that of `a`.
        """
        a, b = np.broadcast_arrays(a, b)
        differ = a != b
        if differ.any():
            self._joins.append((a[differ], b[differ]))

    def tie(self, labels, axis):
        """Joins the labels of an array along `axis`.

        Returns:
            The array with size 1 along `axis`: the channels no longer differ
            there.
        """
        first = np.take(labels, [0], axis=axis)
        if labels.shape[axis] > 1:
            self.join(labels, first)
        return first

    def freeze(self, labels, layer, reason):
        """Keeps the channels of `labels`; `layer` and `reason` say why."""
        self.frozen.append((labels.reshape(-1), layer, reason))

    def freeze_first(self, labels, layer, reason):
        """As `freeze`, with a reason that goes before those given so far."""
        self.frozen.insert(0, (labels.reshape(-1), layer, reason))

    def roots(self):
        """The smallest label joined with each label, shape `(count,)`."""
        if not self._joins:
            return np.arange(self.count)
        a, b = (np.concatenate(side) for side in zip(*self._joins, strict=True))
        return connected_components(self.count, a, b)


def connected_components(count, a, b):
    """The smallest member of each node's component in an undirected graph.

    Hooks every tree onto the smaller root that an edge offers and halves the
    paths, until no edge joins two trees: a logarithmic number of passes, each
    over whole arrays.

    Args:
        count: number of nodes.
        a, b: integer arrays, shape `(edges,)`, the two ends of each edge.

    Returns:
        Integer array, shape `(count,)`.
    """
    root = np.arange(count)
    while True:
        low, high = np.minimum(root[a], root[b]), np.maximum(root[a], root[b])
        open_edges = low != high
        if not open_edges.any():
            return root
        a, b = a[open_edges], b[open_edges]
        np.minimum.at(root, high[open_edges], low[open_edges])
        while not np.array_equal(root, root[root]):
            root = root[root]


def is_constant(labels, axis):
    """Whether an array of labels holds one value along `axis`."""
    if labels.shape[axis] == 1:
        return True
    return bool((labels == np.take(labels, [0], axis=axis)).all())


def squeeze(labels):
    """Gives size 1 to every axis along which the labels do not differ."""
    for axis in range(labels.ndim):
        if labels.shape[axis] > 1 and is_constant(labels, axis):
            labels = np.take(labels, [0], axis=axis)
    return labels


def reshape(labels, shape, target):
    """Moves labels through a row-major reshape.

    Axes that are equal at both ends of the two shapes are matched one to one,
    so that they may have unknown sizes; what lies between is spread out to
    its full size and reshaped as the tensor is.

    Args:
        labels: integer array of the rank of `shape`; each axis has the size of
            the tensor, or 1 where the labels do not differ.
        shape: tuple, the tensor's shape; an unknown size is `None`.
        target: tuple, the shape after the reshape.

    Returns:
        Integer array of the rank of `target`, or `None` if the labels differ
        along an axis of unknown size that the reshape breaks up.
    """
    head = 0
    while head < min(len(shape), len(target)) and shape[head] == target[head]:
        head += 1
    tail = 0
    while (
        tail < min(len(shape), len(target)) - head
        and shape[-1 - tail] == target[-1 - tail]
    ):
        tail += 1
    old, new = (
        shape[head : len(shape) - tail],
        target[head : len(target) - tail],
    )
    inner = labels.shape[head : len(shape) - tail]
    if all(size == 1 for size in inner):
        inner_target = (1,) * len(new)
    elif None in old or None in new or math.prod(old) != math.prod(new):
        return None
    else:
        full = (
            labels.shape[:head] + tuple(old) + labels.shape[len(shape) - tail :]
        )
        labels = np.broadcast_to(labels, full)
        inner_target = tuple(new)
    out = labels.shape[:head] + inner_target + labels.shape[len(shape) - tail :]
    return squeeze(labels.reshape(out))
