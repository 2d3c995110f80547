"""Takes grouped convolutions of int16 apart.

CMSIS-NN computes them as if there were one group, without an error: the outputs
are wrong. Group by group they are exact, with any kernels.
"""

import copy

import numpy as np

# The most inputs of a concatenation in TFLite Micro.
MOST_JOINED = 10


def convolutions(place, op):
    """CONV_2D of several groups of int16 becomes one for each.

    Args:
        place: `graph_edits.Place`.
        op: the op, which is replaced.
    """
    source, *constants = op.inputs
    constants = [index for index in constants if index >= 0]
    shape, depth = place.shape(source), place.shape(constants[0])[-1]
    count = shape[-1] // depth
    if (
        place.type(source) != place.schema.TensorType.INT16
        or count == 1
        or not all(map(place.is_constant, constants))
    ):
        return
    *outer, filters = place.shape(op.outputs[0])
    filters //= count
    made = []
    for group in range(count):
        rows = slice(group * filters, (group + 1) * filters)
        part = _channels(place, op, source, group * depth, depth)
        own = [_rows(place, index, rows) for index in constants]
        made.append(place.repeat(op, [part, *own], [*outer, filters]))
    while len(made) > MOST_JOINED:
        made = [
            _joined(place, op, made[i : i + MOST_JOINED])
            for i in range(0, len(made), MOST_JOINED)
        ]
    place.become(op, "CONCATENATION", "ConcatenationOptions", made, axis=3)


def _channels(place, op, source, start, count):
    """Some channels of a tensor of four axes."""
    shape = place.shape(source)
    edges = [0, 0, 0, start], [*shape[:-1], start + count], [1, 1, 1, 1]
    return place.insert(
        op,
        "STRIDED_SLICE",
        "StridedSliceOptions",
        [source, *(place.add_constant(np.array(edge)) for edge in edges)],
        [*shape[:-1], count],
        source,
    )


def _rows(place, index, rows):
    """A constant of some rows of another; its index."""
    tensor = copy.deepcopy(place.graph.tensors[index])
    count = len(tensor.shape) and int(tensor.shape[0])
    data = np.frombuffer(
        bytes(place.model.buffers[tensor.buffer].data), "u1"
    ).reshape(count, -1)[rows]
    tensor.shape = [len(data), *tensor.shape[1:]]
    steps = tensor.quantization
    if steps is not None and steps.scale is not None and len(steps.scale) > 1:
        steps.scale = list(steps.scale[rows])
        steps.zeroPoint = list(steps.zeroPoint[rows])
    tensor.buffer = len(place.model.buffers)
    buffer = place.schema.BufferT()
    buffer.data = data.reshape(-1)
    place.model.buffers.append(buffer)
    place.graph.tensors.append(tensor)
    return len(place.graph.tensors) - 1


def _joined(place, op, parts):
    if len(parts) == 1:
        return parts[0]
    shape = list(place.shape(parts[0]))
    shape[-1] = sum(place.shape(part)[-1] for part in parts)
    return place.insert(
        op,
        "CONCATENATION",
        "ConcatenationOptions",
        parts,
        shape,
        parts[0],
        axis=3,
    )
