"""Feature maps of channels, before other layers read them.

The map of a channel is the tensor that a layer reads, traced back through
pooling, padding, flattening and concatenation to its source, after the
activation if there is one.
"""

import math

import keras
import numpy as np

from tfprune.datasets import samples
from tfprune.graph import channel_graph
from tfprune.graph import values
from tfprune.scoring import probe

# Layers and ops that only put tensors next to each other.
_SIDE_BY_SIDE = ("Concatenate", "Hstack", "Stack")


def mean_over_maps(
    graph, function, data, purpose, batch_size=64, limit=None, rank=None
):
    """Averages a statistic over all feature maps of each channel.

    Args:
        graph: a `ChannelGraph`.
        function: maps feature maps, shape `(samples, channels, *spatial)`, to
            numbers, shape `(samples, channels)`.
        data, purpose, batch_size, limit: as for `samples.batches`.
        rank: `int`, required number of spatial axes; `None` for any.

    Returns:
        Float array, shape `(graph.size,)`; infinity for channels without a
        map of that rank.
    """
    wanted = sources(graph, rank)
    total, count = np.zeros((2, graph.size))

    def visit(event):
        for k, tensor in wanted.get(event.number, ()):
            output = values.numpy(keras.tree.flatten(event.output)[k])
            maps = np.moveaxis(output, tensor.varying[0], 1)
            labels = tensor.axes[0]
            numbers = np.asarray(function(maps), np.float64)
            np.add.at(total, labels, numbers.sum(0))
            np.add.at(count, labels, len(maps))

    for x, _ in samples.batches(
        data, purpose, batch_size, limit, model=graph.model
    ):
        probe.play(graph, x, visit)
    return np.divide(
        total, count, out=np.full(graph.size, np.inf), where=count > 0
    )


def sources(graph, rank=None, before_ops=False):
    """Returns the step outputs that are feature maps of channels.

    Args:
        graph: a `ChannelGraph`.
        rank: `int`, required number of spatial axes; `None` for any.
        before_ops: `bool`, whether what an op makes in another size, as a GLU
            does, is traced back to its input, and what is concatenated is not.

    Returns:
        `dict` from the index of a step to a list of `(output index,
        Tensor)`.
    """
    made = {}
    for number, step in enumerate(graph.steps):
        for k, tensor in enumerate(step.outputs):
            made.setdefault(id(tensor), (number, k))
    readers = {b.layer for b in graph.bindings if b.role == channel_graph.READS}
    found = {}
    for step in graph.steps:
        if step.layer in readers:
            for tensor in step.inputs:
                for origin in _origins(graph, made, tensor, before_ops):
                    if id(origin) in made and _is_map(origin, rank):
                        found[made[id(origin)]] = origin
    wanted = {}
    for (number, k), tensor in found.items():
        wanted.setdefault(number, []).append((k, tensor))
    return wanted


def _origins(graph, made, tensor, before_ops):
    """Traces back through steps that only move or pool values."""
    while id(tensor) in made:
        step = graph.steps[made[id(tensor)][0]]
        if step.op in _SIDE_BY_SIDE and not before_ops:
            found = [_origins(graph, made, x, before_ops) for x in step.inputs]
            return [origin for origins in found for origin in origins]
        if len(step.inputs) != 1:
            return [tensor]
        (before,) = step.inputs
        live = graph.layers[step.layer]
        is_op = not isinstance(live, keras.layers.Layer)
        resizes = _size(before) != _size(tensor) or before.rank != tensor.rank
        if not step.moves and not (before_ops and is_op and resizes):
            return [tensor]
        tensor = before
    return [tensor]


def _size(tensor):
    return math.prod(n or 1 for n in tensor.shape[1:])


def _is_map(tensor, rank):
    fits = rank is None or tensor.rank - 2 == rank
    return fits and len(tensor.varying) == 1
