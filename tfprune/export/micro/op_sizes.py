"""Sizes of a file's ops for the estimates of `costs.core_steps`."""

import math

from tfprune.costs import core_steps

_KERNELS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
_WIDE = ("FLOAT32", "INT32")
_LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")


def of(op):
    """The sizes of an op.

    Args:
        op: `flat_ops.Op`.

    Returns:
        A `core_steps.OpSize`.
    """
    # ASSIGN_VARIABLE and the like have no output.
    outputs = (op.outputs and op.outputs[0].shape) or (1,)
    reads = next(
        (t.shape for t in op.inputs if t is not None and t.shape), (1,)
    )
    places, writes = math.prod(outputs[:-1]), outputs[-1]
    window, groups, columns, way = 1, 1, 1, ""
    stride = op.option("strideH", 1) * op.option("strideW", 1)
    if op.kind in _KERNELS:
        weights = op.inputs[1].shape
        window = math.prod(weights[1:3])
        if op.kind == "TRANSPOSE_CONV":  # Its first input is a shape.
            reads = op.inputs[2].shape or (1,)
        elif op.kind == "CONV_2D":
            columns = math.prod(weights[2:3])
            groups = max(1, reads[-1] // max(1, math.prod(weights[3:4])))
            row = reads[1:2] == weights[1:2] == (1,)
            way = "row" if row else ""
        else:
            gaps = (
                op.option("dilationHFactor", 1),
                op.option("dilationWFactor", 1),
            )
            way = "gaps" if max(gaps) > 1 else ""
    elif op.kind == "FULLY_CONNECTED":  # It may flatten what it reads.
        reads = op.inputs[1].shape or reads
    elif op.kind in _POOLS:
        window = op.option("filterHeight", 1) * op.option("filterWidth", 1)
    elif op.kind == _LSTM:
        places = math.prod(outputs[1:2])
    elif op.kind in ("MEAN", "SUM", "REDUCE_MAX"):
        window = max(1, math.prod(reads) // max(1, math.prod(outputs)))
    else:
        way = core_steps.way(op.kind, op.option("axis", -1), len(reads))
    broadcast = core_steps.is_broadcast(
        op.kind, [t.shape for t in op.inputs if t is not None]
    )
    kinds = [t.dtype for t in op.inputs if t is not None]
    if op.kind in core_steps.BY_TYPE and kinds and kinds[0] in _WIDE:
        broadcast, way = False, kinds[0]
    return core_steps.OpSize(
        *(op.kind, places, window, reads[-1] // groups, writes),
        stride=stride,
        broadcast=broadcast,
        groups=groups,
        way=way,
        columns=columns,
    )
