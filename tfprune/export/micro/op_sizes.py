"""Sizes of a file's ops for the estimates of `costs.core_steps`."""

import math

from tfprune.costs import core_steps

_KERNELS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
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
    window, strided = 1, False
    if op.kind in _KERNELS:
        weights = op.inputs[1].shape
        window = math.prod(weights[1:3])
        strided = max(op.option("strideH", 1), op.option("strideW", 1)) > 1
    elif op.kind in _POOLS:
        window = op.option("filterHeight", 1) * op.option("filterWidth", 1)
        strided = max(op.option("strideH", 1), op.option("strideW", 1)) > 1
    elif op.kind in ("MEAN", "SUM", "REDUCE_MAX"):
        window = max(1, math.prod(reads) // max(1, math.prod(outputs)))
    broadcast = core_steps.is_broadcast(
        op.kind, [t.shape for t in op.inputs if t is not None]
    )
    return core_steps.OpSize(
        op.kind, places, window, reads[-1], writes, strided, broadcast
    )
