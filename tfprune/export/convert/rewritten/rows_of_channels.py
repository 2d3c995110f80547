"""Convolutions of one axis behind that of the channels.

TensorFlow convolves maps of one row, and then squeezes the row out. The
converter moves channels to the end and back around the convolution, takes the
second move behind the squeeze, and refuses what it has made.
"""

import numpy as np

from tfprune.export.convert.rewritten import plain_ops


def found(function):
    """The squeezes of such convolutions.

    Args:
        function: a concrete function.

    Returns:
        `dict` from the name of a node to the shape of what it makes.
    """
    return {
        op.name: op.outputs[0].shape.as_list()
        for op in function.graph.get_operations()
        if op.type == "Squeeze"
        and op.inputs[0].op.type == "Conv2D"
        and op.inputs[0].op.get_attr("data_format") == b"NCHW"
    }


def rewrite(graph, squeezes):
    """Squeezes by a reshape, which stays where it is.

    Args:
        graph: `GraphDef`, changed in place.
        squeezes: as of `found`.
    """
    import tensorflow as tf

    for node in list(graph.node):
        if node.name not in squeezes:
            continue
        shape = np.array(squeezes[node.name], "int32")
        shape = plain_ops.add_constant(graph, f"{node.name}/shape", shape)
        node.op = "Reshape"
        node.input.append(shape)
        del node.attr["squeeze_dims"]
        node.attr["Tshape"].type = tf.int32.as_datatype_enum
