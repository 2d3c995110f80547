"""What ops of an int8 file hold beside the activations of the model.

Read off exported files.
"""

import dataclasses

import keras
import numpy as np

from tfprune.costs import file_ops
from tfprune.costs import layer_ops
from tfprune.costs import memory

_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
# What a looked-up function holds beside its output: two tensors of int32.
_LOOKED_UP = 7
# Last ops of activations that read what the ones before them do, too.
_OF_BOTH = {"MUL", "SUB"}
# What normalizations of maps hold beside their input and output: one that looks
# all values up, and one whose scales and offsets become maps.
_NORMALIZED = {"GroupNormalization": _LOOKED_UP, "LayerNormalization": 3}


def beside(graph, plan):
    """The buffers beside those of the activations.

    Args:
        graph: a `ChannelGraph`.
        plan: its `memory.Plan`.

    Returns:
        List of `memory.Buffer`.
    """
    return [
        *(*_between(graph), *_held(graph), *_looked_up(graph)),
        *(*_activated(graph, plan), *_halfway(graph, plan)),
    ]


def _looks_up(step, layer):
    """Whether a layer looks up each of its values."""
    rank = len(step.outputs[0].shape)
    found = file_ops.activation(layer) or layer_ops.of_layer(
        file_ops.inner(layer), rank
    )
    return found[: len(layer_ops.TABLE)] == layer_ops.TABLE


def _looked_up(graph):
    """A `Buffer` for each byte per value that a looked-up function holds.

    And for those that normalizations hold.
    """
    return [
        memory.Buffer([step.outputs[0]], i, i)
        for i, step in enumerate(graph.steps, start=1)
        for _ in range(_bytes_beside(step, graph.layers[step.layer]))
    ]


def _bytes_beside(step, layer):
    kind = type(file_ops.inner(layer)).__name__
    if kind in _NORMALIZED and len(step.outputs[0].shape) > 3:
        return _NORMALIZED[kind]
    return _LOOKED_UP * _looks_up(step, layer)


@dataclasses.dataclass(frozen=True, eq=False)
class Activated(memory.Buffer):
    """What the ops of an activation hold besides its output.

    Attributes:
        times: `int`, by how many tensors of that size.
        freed: tuple of `memory.Buffer`, which only the kernel before these ops
            reads.
    """

    times: int = 1
    freed: tuple = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Halfway(memory.Buffer):
    """What the depthwise half of a separable convolution writes.

    Attributes:
        middle: the `Tensor`.
        freed: tuple of `memory.Buffer`, which only that half reads.
        written: the `memory.Buffer` of the output, which only the other half
            needs.
    """

    middle: object
    freed: tuple
    written: memory.Buffer


def _halfway(graph, plan):
    """A `Halfway` for each separable convolution."""
    homes = {id(t): b for b in plan.buffers for t in b.tensors}
    found = []
    for i, step in enumerate(graph.steps, start=1):
        layer = file_ops.inner(graph.layers[step.layer])
        if not isinstance(layer, _SEPARABLE):
            continue
        first = layer.data_format == "channels_first"
        axis = -1 - layer.rank if first else -1  # Time steps may come before.
        x, output = step.inputs[0], step.outputs[0]
        read, written = homes[id(x)], homes[id(output)]
        times, labels = layer.depth_multiplier, x.labels
        if labels.shape[axis] > 1:
            labels = np.repeat(labels, times, axis)
        shape = list(output.shape)
        shape[axis] = x.shape[axis] * times
        middle = output.replace(shape=tuple(shape), labels=labels)
        freed = (read,) if read.last == i else ()
        found.append(Halfway([output], i, i, middle, freed, written))
    return found


def _activated(graph, plan):
    """An `Activated` for each activation with ops of its own.

    An op does not write where it reads; a product or difference reads what the
    op before it does, too.
    """
    made_by = {id(t): s for s in graph.steps for t in s.outputs}
    homes = {id(t): b for b in plan.buffers for t in b.tensors}
    found = []
    for i, step in enumerate(graph.steps, start=1):
        layer, output = graph.layers[step.layer], step.outputs[0]
        reads = [homes[id(x)] for x in step.inputs if id(x) in homes]
        times = _activation_reads(step, layer, made_by)
        freed = ()
        if step.work:
            freed = tuple(b for b in dict.fromkeys(reads) if b.last == i)
        elif homes[id(output)] not in reads:
            times -= 1  # It has a buffer for its output already.
        if times > 0:
            found.append(Activated([output], i, i, times, freed))
    return found


def _activation_reads(step, layer, made_by):
    """How many tensors the last op of an activation reads; 0 without one."""
    if step.memory == "view" or _looks_up(step, layer):
        return 0  # `_looked_up` counts what these hold.
    names = file_ops.activation(layer)
    if not names and not step.work and step.memory == "inplace":
        names = file_ops.plain_ops(step, made_by)
        if isinstance(layer, keras.layers.PReLU):
            names = ("PRELU",)
        return int(len(names) == 1)  # `_between` counts others.
    return len(names[:1]) + (len(names) > 1 and names[-1] in _OF_BOTH)


def _between(graph):
    """A `Buffer` between the ops of a step that becomes several.

    Unless its rule knows what they hold.
    """
    made_by = {id(t): s for s in graph.steps for t in s.outputs}
    return [
        memory.Buffer([step.outputs[0]], i, i)
        for i, step in enumerate(graph.steps, start=1)
        if len(file_ops.plain_ops(step, made_by)) > 1 and not step.held
    ]


def _held(graph):
    """A `Buffer` for each tensor that a step holds besides its outputs."""
    return [
        memory.Buffer([tensor], i, i)
        for i, step in enumerate(graph.steps, start=1)
        for tensor in step.held
    ]
