"""Convolutions of one axis behind that of the channels.

TensorFlow convolves maps of one row, and then squeezes the row out. The
converter moves channels to the end and back around the convolution, takes the
second move behind the squeeze, and refuses what it has made. Where kernels have
gaps, pixels are moved to the batch and back, which it does not take back.
"""

import numpy as np

from tfprune.export.convert.rewritten import plain_ops


def found(function):
    """The squeezes of such convolutions.

    Args:
        function: a concrete function.

    Returns:
        `dict` from the name of a node to the shape of what the convolution of
        one axis makes.
    """
    return {
        op.name: _of_all_pixels(op).outputs[0].shape.as_list()
        for op in function.graph.get_operations()
        if op.type == "Squeeze"
        and op.inputs[0].op.type == "Conv2D"
        and op.inputs[0].op.get_attr("data_format") == b"NCHW"
    }


def _of_all_pixels(squeeze):
    readers = squeeze.outputs[0].consumers()
    is_dilated = [op.type for op in readers] == ["BatchToSpaceND"]
    return readers[0] if is_dilated else squeeze


def rewrite(graph, squeezes):
    """Squeezes by a reshape, which stays where it is.

    Args:
        graph: `GraphDef`, changed in place.
        squeezes: as of `found`.
    """
    import tensorflow as tf

    nodes = {node.name: node for node in graph.node}
    backs = {
        node.input[0]: node
        for node in graph.node
        if node.op == "BatchToSpaceND" and node.input[0] in squeezes
    }
    for name, sizes in squeezes.items():
        node = nodes[name]
        if name in backs:
            _dilate(nodes, nodes[node.input[0]], backs[name])
        shape = np.array(sizes, "int32")
        shape = plain_ops.add_constant(graph, f"{node.name}/shape", shape)
        node.op = "Reshape"
        node.input.append(shape)
        del node.attr["squeeze_dims"]
        node.attr["Tshape"].type = tf.int32.as_datatype_enum


def _dilate(nodes, convolution, back):
    """Gives a convolution the gaps for which pixels were moved.

    Args:
        nodes: `dict` from names to nodes.
        convolution: the node between the moves.
        back: the node of the second move.
    """
    rows = nodes[convolution.input[0]]
    there = nodes[rows.input[0]]
    # The axis of the channels may be told before the one that is convolved.
    *_, step = plain_ops.constant(nodes, there.input[1])
    *_, (before, _) = plain_ops.constant(nodes, there.input[2])
    rows.input[0] = there.input[0]
    convolution.attr["dilations"].list.i[:] = [1, 1, 1, int(step)]
    # Without strides, zeros stand on the left only where all sizes stay.
    convolution.attr["padding"].s = b"SAME" if before else b"VALID"
    kind = back.attr["T"].type
    del back.input[1:]
    back.attr.clear()
    back.op, back.attr["T"].type = "Identity", kind
