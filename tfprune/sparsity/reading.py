"""Maps each index of a weight's reading axis to the channel that it reads."""

import keras
import numpy as np
from absl import logging

from tfprune.graph import channel_graph
from tfprune.graph import read
from tfprune.sparsity import weights


def names(layer):
    """Returns a layer's weights with one reading axis, as `weights.names`."""
    return tuple(
        name
        for name in weights.names(layer)
        if len(weights.axes(layer, name).reads) == 1
    )


def along(slot, vector):
    """Reshapes a vector to broadcast along the reading axis of a weight.

    Args:
        slot: the `Slot` of a weight from `names`.
        vector: tensor, shape `(indices,)`.

    Returns:
        The tensor in a shape that broadcasts against the weight.
    """
    (axis,) = slot.axes.reads
    shape = [-1 if i == axis else 1 for i in range(len(slot.shape))]
    return keras.ops.reshape(vector, shape)


def slices(model, slots):
    """Numbers the slices of weights that read one channel each.

    Args:
        model: a wrapped model.
        slots: list of `Slot`s of weights with one reading axis.

    Returns:
        A list with one int array per slot: for each index of its reading axis,
        the number of its slice, from 0; after `Flatten`, several indices share
        a number; -1 if the channel cannot be removed.
    """
    graph = read.channel_graph(model)
    return [_slices(graph, slot) for slot in slots]


def warn_of_none(slots, gated):
    """Warns if a method has no channel to learn about.

    Args:
        slots: list of the method's `Slot`s.
        gated: iterable of bool arrays, which channels it can prune.
    """
    if not any(np.any(each) for each in gated):
        logging.warning(
            "Nothing will be pruned: none of the channels that %s read can be "
            "removed by this. Wrap all layers that read removable channels; "
            "print(tfprune.channel_graph(model)) lists these.",
            ", ".join(slot.path for slot in slots),
        )


def _slices(graph, slot):
    (axis,) = slot.axes.reads
    found = np.full((slot.shape[axis],), -1)
    for binding in graph.bound(slot.kernel):
        if binding.role == channel_graph.READS and binding.axis == axis:
            _, number = np.unique(binding.labels, return_inverse=True)
            free = graph.removable[binding.labels]
            found = np.where(free, number, -1)
    return found
