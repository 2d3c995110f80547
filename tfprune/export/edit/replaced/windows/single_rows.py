"""Convolutions of a single row, which CMSIS-NN computes in a kernel of its own.

On cores with vectors (`arm_convolve_1_x_n_s8`) it takes the last places of a
row for ones that miss one value, and the padding behind them for as many values
as there are places. With strides this need not be so: it then reads beyond the
row, or reports a failure that nobody reads.
"""

import copy

from tfprune.export.edit.replaced import many_axes

_WORD = 4


def convolutions(place, op):
    """CONV_2D of int8 becomes one of a column where that kernel is wrong.

    Args:
        place: `graph_edits.Place`.
        op: the op, which gets reshapes around it.
    """
    source, weights, *bias = op.inputs
    count, rows, width, depth = place.shape(source)
    filters, *kernel, own = place.shape(weights)
    options = op.builtinOptions
    stride = options.strideW
    if (
        place.type(source) != place.schema.TensorType.INT8
        or (rows, kernel[0], options.dilationWFactor) != (1, 1, 1)
        or kernel[1] == 1
        or depth != own
        or stride * depth % _WORD
    ):
        return
    places = place.shape(op.outputs[0])[2]
    same = options.padding == place.schema.Padding.SAME
    if not _goes_wrong(width, kernel[1], stride, places, same):
        return
    source = many_axes.reshaped(place, op, source, [count, width, 1, depth])
    weights = many_axes.reshaped(
        place, op, weights, [filters, kernel[1], 1, own]
    )
    made = place.repeat(
        op, [source, weights, *bias], [count, places, 1, filters]
    )
    column = place.maker(made)
    column.builtinOptions = copy.copy(options)
    column.builtinOptions.strideH, column.builtinOptions.strideW = stride, 1
    many_axes.finish(place, op, made)


def _goes_wrong(width, kernel, stride, places, same):
    """Whether the kernel computes the end of a row wrongly."""
    padding = (places - 1) * stride + kernel - width
    if padding <= 0:
        return padding < 0  # Values are left over.
    before = padding // 2 if same else 0
    behind = padding - before
    first, last = -(-before // stride), -(-behind // stride)
    if first + last > places:
        return False  # It leaves these to the kernel for all convolutions.
    uneven = padding % 2 == 1
    return (behind - 1) % stride != 0 or (uneven and behind > last)
