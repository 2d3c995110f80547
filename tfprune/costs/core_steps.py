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
_BY_TYPE = {"ADD", "MUL", "SUB", "QUANTIZE"}


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


def size(
    kind,
    inputs,
    output,
    *,
    window=(),
    strides=(),
    gaps=(),
    groups=1,
    axis=-1,
    dtype="INT8",
):
    """The `OpSize` of an op, of a file or of a prediction.

    Args:
        kind: `str`, as the schema of TFLite names it.
        inputs: list of tuples, the shapes of what it joins; the first that is
            no scalar is what it reads.
        output: tuple, a shape.
        window, strides, gaps: tuples of `int`, of rows and columns.
        groups: `int`, into which a convolution splits channels.
        axis: `int`, along which a concatenation joins tensors.
        dtype: `str`, that of the first input.
    """
    reads = next(filter(None, inputs), (1,))
    area, way = math.prod(window), ""
    if kind in _REDUCTIONS:
        area = max(1, math.prod(reads) // max(1, math.prod(output)))
    elif kind == "CONV_2D":
        way = "row" if reads[-3:-2] == window[:1] == (1,) else ""
    elif kind == "DEPTHWISE_CONV_2D":
        way = "gaps" if max(gaps, default=1) > 1 else ""
    elif kind == "CONCATENATION":
        way = "outer" if (axis + 1) % len(reads) else ""
    elif kind in _BY_TYPE and dtype in ("FLOAT32", "INT32"):
        way = dtype
    return OpSize(
        *(kind, math.prod(output[:-1]), area),
        *(max(1, reads[-1] // groups), output[-1], math.prod(strides)),
        broadcast=kind in _PAIRWISE and not way and _differ(inputs),
        groups=groups,
        way=way,
        columns=math.prod(window[1:2]) if kind == "CONV_2D" else 1,
    )


def _differ(shapes):
    """Whether shapes do, but for leading axes of size 1, as kernels see it."""
    return 1 < len(
        {tuple(itertools.dropwhile(lambda n: n == 1, s)) for s in shapes}
    )


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
    *inputs, output = (
        (1, *op.in_file(memory.sizes(tensor, keep)))
        for tensor in (*op.inputs, op.output)
    )
    if op.work:
        return _product(op, keep, output)
    if len(inputs) == 1:
        inputs.append(())  # It is joined with a constant.
    return size(
        *(op.kind, inputs, output),
        window=(1,) * (2 - len(op.window)) + op.window,
        strides=op.strides,
        gaps=op.dilations,
        groups=op.groups,
        axis=op.axis,
        dtype=file_op.dtype(op.inputs[0]).upper(),
    )


def _product(op, keep, output):
    """The `OpSize` of a product of matrices."""
    kind, work = op.kind, memory.work(op.work, keep)
    count = max(1, math.prod(output))
    if work % count or not output[-1]:
        kind, output, count = file_op.DENSE, (1,), 1
    return size(kind, [(work // count,)], output)
