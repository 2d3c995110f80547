"""Rewrites ops on more axes than the kernels of TFLite Micro take.

Its STRIDED_SLICE refuses more than four axes. With CMSIS-NN, TRANSPOSE leaves
the output unwritten instead, and MAXIMUM and MINIMUM read beyond the shapes,
without an error. Axes that an op treats alike and that stay neighbors are one
axis to it, so that reshapes around it leave it fewer.
"""

import copy
import math

import numpy as np

from tfprune.graph.lowering import few_axes

_WORD = 4


def slices(place, op):
    """STRIDED_SLICE of more than four axes becomes one slice per axis.

    Args:
        place: `graph_edits.Place`.
        op: the op, which is replaced.
    """
    source, *bounds = op.inputs
    begin, end, strides = (place.constant(i) for i in bounds)
    options, shape = op.builtinOptions, place.shape(source)
    odd = options.ellipsisMask or options.newAxisMask
    if len(shape) <= few_axes.MOST_AXES or odd or begin is None or end is None:
        return
    made = source
    for axis, size in enumerate(shape):
        taken = slice(
            None if options.beginMask >> axis & 1 else int(begin[axis]),
            None if options.endMask >> axis & 1 else int(end[axis]),
            int(strides[axis]),
        )
        if options.shrinkAxisMask >> axis & 1:
            first = int(begin[axis]) % size
            taken = slice(first, first + 1, 1)
        left = range(*taken.indices(size))
        if left == range(size):
            continue
        now = list(place.shape(made))
        flat = [math.prod(now[:axis]), size, math.prod(now[axis + 1 :])]
        made = place.reshape(op, made, flat)
        now[axis], flat[1] = len(left), len(left)
        edges = [[0, left.start, 0], [flat[0], left.stop, flat[2]]]
        edges.append([1, left.step, 1])
        made = place.insert(
            op,
            "STRIDED_SLICE",
            "StridedSliceOptions",
            [made, *(place.add_constant(np.array(e)) for e in edges)],
            flat,
            made,
            # A negative end would count from the end of the axis.
            endMask=2 if left.stop < 0 else 0,
        )
        made = place.reshape(op, made, now)
    finish(place, op, made)


def transpositions(place, op):
    """TRANSPOSE of more than four axes becomes some of at most four.

    Args:
        place: `graph_edits.Place`.
        op: the op, which is replaced.
    """
    source, order = op.inputs
    order, shape = place.constant(order), place.shape(source)
    if len(shape) <= few_axes.MOST_AXES or order is None:
        return
    made = _before_reshapes(place, op, source)
    for groups, axes in few_axes.transpositions(shape, order.tolist()):
        sizes = [math.prod(shape[axis] for axis in group) for group in groups]
        made = place.reshape(op, made, sizes)
        axes_tensor = place.add_constant(np.array(axes))
        made = place.insert(
            op,
            "TRANSPOSE",
            "TransposeOptions",
            [made, axes_tensor],
            [sizes[axis] for axis in axes],
            made,
        )
    finish(place, op, made)


def pairs(place, op):
    """An op on pairs of values, on more than four axes, gets at most four.

    Args:
        place: `graph_edits.Place`.
        op: the op, which gets reshaped inputs, and a reshape behind it. It
            stays as it is where the inputs broadcast along too many axes.
    """
    _fewer_axes(place, op, 0)


def products(place, op):
    """BATCH_MATMUL of more than four axes gets at most four, as `pairs`.

    Args:
        place: `graph_edits.Place`.
        op: the op.
    """
    _fewer_axes(place, op, 2)


def dense(place, op):
    """FULLY_CONNECTED gets as few axes as its kernels need.

    More than four become three. More than two become two where CMSIS-NN has
    more than one kernel: for int8 with a depth that words divide, it runs a
    convolution of 1x1 there, which stops the core if the weights have one
    scale.

    Args:
        place: `graph_edits.Place`.
        op: the op, which is replaced.
    """
    source, weights, *bias = op.inputs
    *outer, units = place.shape(op.outputs[0])
    depth = place.shape(weights)[-1]
    types = place.schema.TensorType
    stops = (
        {place.type(source), place.type(weights)} == {types.INT8}
        and place.steps(weights) is not None
        and depth % _WORD == 0
    )
    if len(outer) < (2 if stops else few_axes.MOST_AXES):
        return
    flat = [math.prod(outer)] if stops else [1, math.prod(outer)]
    source = reshaped(place, op, source, [*flat, depth])
    made = place.repeat(op, [source, weights, *bias], [*flat, units])
    finish(place, op, made)


def _fewer_axes(place, op, last):
    """Merges the axes along which inputs broadcast, but for the last ones."""
    shapes = [place.shape(index) for index in (*op.outputs, *op.inputs)]
    if len(shapes[0]) <= few_axes.MOST_AXES:
        return
    cut = len(shapes[0]) - last
    shapes = [(1,) * (len(shapes[0]) - len(own)) + own for own in shapes]
    groups = _groups(*(shape[:cut] for shape in shapes))
    if len(groups) + last > few_axes.MOST_AXES:
        return
    made, *inputs = (
        [math.prod(sizes) for sizes in own] + [*shape[cut:]]
        for own, shape in zip(zip(*groups, strict=True), shapes, strict=True)
    )
    inputs = [
        reshaped(place, op, index, shape)
        for index, shape in zip(op.inputs, inputs, strict=True)
    ]
    finish(place, op, place.repeat(op, inputs, made))


def _groups(shape, *others):
    """Neighboring axes along which the same inputs broadcast.

    Returns:
        A list with the sizes of each group's axes, for `shape` and each other.
    """
    found, last = [], None
    for sizes in zip(shape, *others, strict=True):
        kind = [size == sizes[0] for size in sizes]
        if found and (sizes[0] == 1 or kind == last):
            found[-1] = [
                (*own, size) for own, size in zip(found[-1], sizes, strict=True)
            ]
        elif sizes[0] > 1:
            found.append([(size,) for size in sizes])
            last = kind
    return found or [[(1,)] * (1 + len(others))]


def reshaped(place, op, index, shape):
    """A reshape of an input of `op`; that of a constant is another constant.

    Args:
        place: `graph_edits.Place`.
        op: the op, before which it is put.
        index: `int`, of the input.
        shape: list of `int`.

    Returns:
        `int`, the index of the reshaped tensor.
    """
    if not place.is_constant(index):
        index = _before_reshapes(place, op, index)
        if place.shape(index) == tuple(shape):
            return index
        return place.reshape(op, index, shape)
    tensor = copy.copy(place.graph.tensors[index])
    tensor.shape = shape
    place.graph.tensors.append(tensor)
    return len(place.graph.tensors) - 1


def _before_reshapes(place, op, index):
    """What a tensor is before reshapes, which go if `op` alone reads them."""
    maker = place.maker(index)
    while maker is not None and place.kind(maker) == "RESHAPE":
        before = int(maker.inputs[0])
        once = [*op.inputs].count(index) == 1
        alone = place.readers(index) == [op]
        if once and alone and index not in place.graph.outputs:
            place.graph.operators.remove(maker)
            op.inputs = [before if i == index else i for i in op.inputs]
        index, maker = before, place.maker(before)
    return index


def finish(place, op, made):
    """`op` becomes the reshape of `made` to its output.

    Args:
        place: `graph_edits.Place`.
        op: the op.
        made: `int`, the index of a tensor.
    """
    target = place.add_constant(np.array(place.shape(op.outputs[0])))
    place.become(op, "RESHAPE", "ReshapeOptions", [made, target])
    output = op.outputs[0]
    readers = place.readers(output)
    if [place.kind(r) for r in readers] == ["RESHAPE"] and (
        output not in place.graph.outputs
    ):
        readers[0].inputs = [made, *readers[0].inputs[1:]]
        place.graph.operators.remove(op)
