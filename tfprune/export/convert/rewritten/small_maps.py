"""Convolutions of feature maps that are as small as their kernel.

TFLite's float kernel takes a kernel as large as the map, without padding before
it, for one that gives a single pixel. Where padding comes after it, the other
pixels then keep what was in memory, and calibration takes that for their range.
"""

import math

import numpy as np

from tfprune.export.convert.rewritten import plain_ops


def found(function):
    """The convolutions that need padding of their own.

    Args:
        function: a concrete function.

    Returns:
        `dict` from the name of a node to the rows and columns to add behind.
    """
    convolutions = {}
    for op in function.graph.get_operations():
        if op.type != "Conv2D":
            continue
        source, kernel = (x.shape.as_list() for x in op.inputs)
        size, strides = kernel[:2], op.get_attr("strides")[1:3]
        # What padding takes where the map is as large as the kernel.
        behind = [
            (math.ceil(n / stride) - 1) * stride
            for n, stride in zip(size, strides, strict=True)
        ]
        if (
            op.get_attr("padding") == b"SAME"
            and op.get_attr("data_format") == b"NHWC"
            and source[1:3] == size
            and max(behind) == 1  # Of more, half would come before it.
            and set(op.get_attr("dilations")) == {1}
        ):
            convolutions[op.name] = behind
    return convolutions


def rewrite(graph, convolutions):
    """Pads the maps by an op, so that they are larger than the kernel.

    Args:
        graph: `GraphDef`, changed in place.
        convolutions: as of `found`.
    """
    import tensorflow as tf

    for node in list(graph.node):
        if node.name not in convolutions:
            continue
        rows, columns = convolutions[node.name]
        behind = np.array([(0, 0), (0, rows), (0, columns), (0, 0)], "int32")
        name = f"{node.name}/padded"
        count = plain_ops.add_constant(graph, f"{name}/behind", behind)
        kind = node.attr["T"].type
        zero = plain_ops.add_constant(graph, f"{name}/zero", 0, kind)
        # The converter would join a Pad with the convolution again.
        padded = graph.node.add(name=name, op="PadV2")
        padded.input.extend([node.input[0], count, zero])
        padded.attr["T"].type = kind
        padded.attr["Tpaddings"].type = tf.int32.as_datatype_enum
        node.input[0] = name
        node.attr["padding"].s = b"VALID"
