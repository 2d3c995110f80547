"""Ops that cut a tensor or repeat it: SPLIT, UNPACK, TILE.

Each rule takes a `graph_edits.Place` and the op, which it replaces in place.
"""

import math

import numpy as np

from tfprune.export.edit.replaced import many_axes
from tfprune.export.edit.replaced.windows import groups

# Which input is divided.
_SPLIT_INPUT = {"SPLIT": 1, "UNPACK": 0}


def split(place, op):
    """SPLIT and UNPACK of dequantized values take the stored integers.

    The converter leaves them in float if nothing reads one of their outputs;
    SPLIT only sometimes: it depends on where things lie in its memory.
    """
    source = op.inputs[_SPLIT_INPUT[place.kind(op)]]
    before = place.maker(source)
    if (
        before is None
        or place.kind(before) != "DEQUANTIZE"
        or place.steps(before.inputs[0]) is None
        or set(op.outputs) & set(place.graph.outputs)
        or any(
            place.kind(reader) != "QUANTIZE"
            for made in op.outputs
            for reader in place.readers(made)
        )
    ):
        return
    (stored,) = before.inputs
    op.inputs = [stored if i == source else i for i in op.inputs]
    op.outputs = list(op.outputs)
    for number, made in enumerate(op.outputs):
        tensor = place.graph.tensors[made]
        tensor.type = place.type(stored)
        tensor.quantization = place.graph.tensors[stored].quantization
        for reader in place.readers(made):
            if place.steps(reader.outputs[0]) == place.steps(stored):
                # The others, if any, quantize this one to their steps.
                place.graph.operators.remove(reader)
                for other in place.readers(made):
                    other.inputs = list(reader.outputs)
                (op.outputs[number],) = reader.outputs
                break
    if not place.readers(source) and source not in place.graph.outputs:
        place.graph.operators.remove(before)


def unpack(place, op):
    if place.type(op.inputs[0]) == place.schema.TensorType.BOOL:
        _truths(place, op)
    else:
        split(place, op)


def _truths(place, op):
    """UNPACK of booleans becomes a STRIDED_SLICE for each output."""
    source = op.inputs[0]
    shape = place.shape(source)
    axis = op.builtinOptions.axis % len(shape)
    ends = [1] * len(shape)
    for number, made in enumerate(op.outputs):
        begin, end = np.zeros(len(shape), int), np.array(shape)
        begin[axis], end[axis] = number, number + 1
        one = place.schema.OperatorT()
        one.outputs = [made]
        inputs = [source, *map(place.add_constant, (begin, end))]
        inputs.append(place.add_constant(np.array(ends)))
        place.become(
            one,
            "STRIDED_SLICE",
            "StridedSliceOptions",
            inputs,
            shrinkAxisMask=1 << axis,
        )
        place.graph.operators.insert(place.graph.operators.index(op), one)
    place.graph.operators.remove(op)


def tile(place, op):
    """TILE becomes BROADCAST_TO along axes of size 1, else CONCATENATIONs.

    Of more than a CONCATENATION takes, each axis gets one of size 1 before it.
    """
    x, counts = op.inputs
    times = place.constant(counts)
    if times is None:
        return
    before, after = place.shape(x), place.shape(op.outputs[0])
    axes = np.flatnonzero(times != 1)
    if all(before[axis] == 1 for axis in axes):
        shape = place.add_constant(np.array(after))
        place.become(
            op, "BROADCAST_TO", "BroadcastToOptions", [x, shape], version=2
        )
    elif max(times) <= groups.MOST_JOINED:
        for axis in axes[:-1]:
            shape = list(place.shape(x))
            shape[axis] *= times[axis]
            x = place.insert(
                op,
                "CONCATENATION",
                "ConcatenationOptions",
                [x] * times[axis],
                shape,
                x,
                axis=int(axis),
            )
        place.become(
            op,
            "CONCATENATION",
            "ConcatenationOptions",
            [x] * times[axes[-1]],
            axis=int(axes[-1]),
        )
    else:
        for axis in map(int, axes):
            count, shape = int(times[axis]), list(place.shape(x))
            sizes = [math.prod(shape[:axis]), 1, math.prod(shape[axis:])]
            x = place.reshape(op, x, sizes)
            sizes[1], shape[axis] = count, count * shape[axis]
            x = place.insert(
                op,
                "BROADCAST_TO",
                "BroadcastToOptions",
                [x, place.add_constant(np.array(sizes))],
                sizes,
                x,
                version=2,
            )
            if axis != axes[-1]:
                x = place.reshape(op, x, shape)
        many_axes.finish(place, op, x)
