"""Pooling along three axes, which TFLite has for two.

The largest of a window is that of the largest along each of its axes, and its
mean that of the means; so is what padding adds or leaves out.
"""

import math

import numpy as np

from tfprune.export.convert.rewritten import plain_ops

_KINDS = {"MaxPool3D": "MaxPool", "AvgPool3D": "AvgPool"}
_AXES = 3


def found(function):
    """The ops that pool along three axes.

    Args:
        function: a concrete function.

    Returns:
        `dict` from the name of a node to the shapes of its input and output.
    """
    pools = {}
    for op in function.graph.get_operations():
        if op.type not in _KINDS or op.get_attr("data_format") != b"NDHWC":
            continue
        shapes = op.inputs[0].shape, op.outputs[0].shape
        if all(shape.is_fully_defined() for shape in shapes):
            pools[op.name] = [shape.as_list() for shape in shapes]
    return pools


def rewrite(graph, pools):
    """Pools along one axis after the other, between reshapes.

    All samples stay one, as kernels for microcontrollers may pool only the
    first of several.

    Args:
        graph: `GraphDef`, changed in place.
        pools: as of `found`.
    """
    nodes = {node.name: node for node in graph.node}
    for name, (shape, made) in pools.items():
        _write_out(graph, nodes[name], shape, made)


def _write_out(graph, node, shape, made):
    import tensorflow as tf

    kind, pool = node.attr["T"].type, _KINDS[node.op]
    windows, strides = (list(node.attr[a].list.i) for a in ("ksize", "strides"))
    padding = node.attr["padding"].s

    def reshape(like, source, sizes):
        like.op = "Reshape"
        sizes = plain_ops.add_constant(
            graph, f"{like.name}/shape", np.array(sizes, "int32")
        )
        like.input[:] = [source, sizes]
        like.attr["T"].type = kind
        like.attr["Tshape"].type = tf.int32.as_datatype_enum

    source, *_ = node.input
    controls = [x for x in node.input if x.startswith("^")]
    now = list(shape)
    for axis in range(1, 1 + _AXES):
        if windows[axis] == strides[axis] == 1:
            continue
        name = f"{node.name}/axis_{axis}"
        # What lies before the axis are rows, what lies behind it channels.
        flat = [math.prod(now[1:axis]), now[axis], math.prod(now[axis + 1 :])]
        before = graph.node.add(name=f"{name}/flat")
        reshape(before, source, [now[0], *flat])
        one = graph.node.add(name=name, op=pool)
        one.input.append(before.name)
        one.attr["T"].type = kind
        one.attr["ksize"].list.i.extend([1, 1, windows[axis], 1])
        one.attr["strides"].list.i.extend([1, 1, strides[axis], 1])
        one.attr["padding"].s, one.attr["data_format"].s = padding, b"NHWC"
        source, now[axis] = name, made[axis]
    node.attr.clear()
    reshape(node, source, made)
    node.input.extend(controls)
