"""Sizes of a file's ops for the estimates of `costs.core_steps`."""

import math

from tfprune.costs import core_steps

_KERNELS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")


def of(op):
    """The sizes of an op.

    Args:
        op: `flat_ops.Op`.

    Returns:
        A `core_steps.OpSize`.
    """
    given = [t for t in op.inputs if t is not None]
    shapes, groups = [t.shape for t in given], 1
    window = _both(op, "filterHeight", "filterWidth")
    if op.kind in _KERNELS:
        weights = op.inputs[1].shape
        window = weights[1:3]
        if op.kind == "TRANSPOSE_CONV":  # Its first input is a shape.
            shapes = [op.inputs[2].shape]
        elif op.kind == "CONV_2D":
            depth = max(1, math.prod(weights[3:4]))
            groups = max(1, math.prod(shapes[0][-1:]) // depth)
    elif op.kind == "FULLY_CONNECTED":  # It may flatten what it reads.
        shapes = [op.inputs[1].shape, *shapes]
    return core_steps.size(
        *(op.kind, shapes),
        # ASSIGN_VARIABLE and the like have no output.
        (op.outputs and op.outputs[0].shape) or (1,),
        window=window,
        strides=_both(op, "strideH", "strideW"),
        gaps=_both(op, "dilationHFactor", "dilationWFactor"),
        groups=groups,
        axis=op.option("axis", -1),
        dtype=given[0].dtype if given else "",
    )


def _both(op, *names):
    """Options of rows and columns, which are 1 where an op has none."""
    return tuple(op.option(name, 1) for name in names)
