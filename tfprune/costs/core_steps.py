"""The ops that a graph becomes in an int8 file, and how large they are."""

import dataclasses
import itertools
import math

from tfprune.costs import file_ops
from tfprune.costs import memory
from tfprune.graph.lowering import file_op

_REDUCTIONS = {"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"}
_PAIRWISE = {"ADD", "MAXIMUM", "MINIMUM", "MUL", "SUB"}
# Kernels that have loops of their own for numbers of 32 bits.
BY_TYPE = {"ADD", "MUL", "SUB", "QUANTIZE"}


@dataclasses.dataclass(frozen=True)
class OpSize:
    """How large an op is.

    Attributes:
        kind: `str`, as the schema of TFLite names it ("CONV_2D").
        places: `int`, rows and columns of the output, multiplied; the steps
            of an LSTM.
        window: `int`, rows and columns of the kernel or pool, multiplied.
        reads, writes: `int`, channels; `reads` are those of a group.
        stride: `int`, that of rows and columns, multiplied.
        broadcast: `bool`, whether it joins tensors of different shapes, which
            kernels do value by value.
        groups: `int`, into which a convolution splits channels.
        way: `str`, what else decides on the loops of a kernel: "row" for a
            convolution of a single row, "gaps" for a depthwise one with gaps
            in its window, "outer" for a concatenation along another axis than
            the last, "FLOAT32" or "INT32" for ops that read such numbers.
        columns: `int`, those of the window of a CONV_2D.
    """

    kind: str
    places: int
    window: int
    reads: int
    writes: int
    stride: int = 1
    broadcast: bool = False
    groups: int = 1
    way: str = ""
    columns: int = 1


def is_broadcast(kind, shapes):
    """Whether an op of a kind broadcasts inputs of these shapes.

    Args:
        kind: `str`, as the schema of TFLite names it.
        shapes: iterable of sequences of `int`.
    """
    # Leading axes of size 1 make no difference to kernels.
    shapes = {
        tuple(itertools.dropwhile(lambda size: size == 1, shape))
        for shape in shapes
    }
    return kind in _PAIRWISE and len(shapes) > 1


def way(kind, axis, rank):
    """What decides on the loops of a kernel without a window, besides sizes.

    Args:
        kind: `str`, as the schema of TFLite names it.
        axis: `int`, along which a concatenation joins tensors.
        rank: `int`, how many axes these have.

    Returns:
        `str`, as `OpSize.way` has it.
    """
    last = kind != "CONCATENATION" or axis in (-1, rank - 1)
    return "" if last else "outer"


def sizes(graph, keep):
    """The ops with only some channels.

    Normalizations that follow a kernel are part of it, and so are activations
    that kernels have. A recurrent layer is an op for all steps, or those of
    each step.

    Args:
        graph: a `ChannelGraph` with inputs of known size.
        keep: bool array, shape `(graph.size,)`.

    Returns:
        List of `OpSize`.
    """
    return [
        size
        for op in file_ops.of(graph).ops
        for size in op.times * [of_op(op, keep)]
    ]


def of_op(op, keep):
    """The `OpSize` of a `FileOp` with only some channels."""
    reads = memory.sizes(op.inputs[0], keep) or [1]
    writes = memory.sizes(op.output, keep) or [1]
    if op.channels_first:
        for sizes_of_map in (reads, writes):
            sizes_of_map.append(sizes_of_map.pop(-1 - len(op.window)))
    if op.work:
        return _product(op, keep, writes)
    places = math.prod(writes[:-1])
    window, stride = math.prod(op.window), math.prod(op.strides)
    if op.kind == file_op.LSTM:
        places = reads[0]
    elif op.kind in _REDUCTIONS:
        window = max(1, math.prod(reads) // max(1, math.prod(writes)))
    row = op.kind == "CONV_2D" and len(op.window) == stride == 1
    wide = op.kind == "CONV_2D" and (row or len(op.window) > 1)
    wider = op.kind in BY_TYPE and op.inputs[0].dtype == "int32"
    shapes = [memory.sizes(tensor, keep) for tensor in op.inputs]
    if len(shapes) == 1:
        shapes.append([])  # It is joined with a constant.
    # Where each channel is a group, fewer channels are fewer groups.
    channels = max(1, reads[-1] // op.groups)
    return OpSize(
        *(op.kind, places, window, channels, writes[-1], stride),
        broadcast=not wider and is_broadcast(op.kind, shapes),
        groups=op.groups,
        way="INT32" if wider else "row" if row else op.way,
        columns=op.window[-1] if wide else 1,
    )


def _product(op, keep, writes):
    """The `OpSize` of a product of matrices."""
    work = memory.work(op.work, keep)
    count = max(1, math.prod(writes))
    if work % count or not writes[-1]:
        return OpSize(file_op.DENSE, 1, 1, work, 1)
    return OpSize(op.kind, count // writes[-1], 1, work // count, writes[-1])
