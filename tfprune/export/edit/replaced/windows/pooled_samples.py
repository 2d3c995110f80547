"""Pooling of several samples, of which CMSIS-NN may pool the first alone.

Until June 2026, TFLite Micro's kernel told CMSIS-NN of one sample, whatever it
was given; libraries of boards are older. Layers over time steps, and reshapes,
make steps samples.
"""

import numpy as np

from tfprune.export.edit.replaced import many_axes


def poolings(place, op):
    """MAX_POOL_2D and AVERAGE_POOL_2D get a single sample.

    Samples become rows where no window has rows of two of them, else channels.

    Args:
        place: `graph_edits.Place`.
        op: the op, which is replaced.
    """
    (source,), types = op.inputs, place.schema.TensorType
    count, height, width, depth = place.shape(source)
    if count == 1 or place.type(source) not in (types.INT8, types.INT16):
        return
    _, rows, columns, _ = place.shape(op.outputs[0])
    options = op.builtinOptions
    if options.filterHeight == options.strideH and height == (
        rows * options.strideH
    ):
        one = [1, count * height, width, depth]
        source = many_axes.reshaped(place, op, source, one)
        made = place.repeat(op, [source], [1, count * rows, columns, depth])
        many_axes.finish(place, op, made)
        return
    made = place.insert(
        *(op, "TRANSPOSE", "TransposeOptions"),
        [source, place.add_constant(np.array([1, 2, 0, 3]))],
        [height, width, count, depth],
        source,
    )
    made = place.reshape(op, made, [1, height, width, count * depth])
    made = place.repeat(op, [made], [1, rows, columns, count * depth])
    made = place.reshape(op, made, [rows, columns, count, depth])
    back = place.add_constant(np.array([2, 0, 1, 3]))
    place.become(op, "TRANSPOSE", "TransposeOptions", [made, back])
