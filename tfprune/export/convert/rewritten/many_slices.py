"""Slices of more axes than TFLite's kernel takes, new ones included.

The converter runs that kernel when it calibrates, so that it does not come to
what the file gets instead.
"""

import math

import numpy as np

from tfprune.export.convert.rewritten import plain_ops

_MOST_AXES = 5


def found(function):
    """The slices of many axes.

    Args:
        function: a concrete function.

    Returns:
        `dict` from the name of a node to the shapes of its input and output.
    """
    slices = {}
    for op in function.graph.get_operations():
        if op.type != "StridedSlice":
            continue
        shapes = op.inputs[0].shape, op.outputs[0].shape
        if not all(shape.is_fully_defined() for shape in shapes):
            continue
        added = op.get_attr("new_axis_mask").bit_count()
        if shapes[0].rank + added > _MOST_AXES:
            slices[op.name] = [shape.as_list() for shape in shapes]
    return slices


def rewrite(graph, slices):
    """Slices one axis after the other, between reshapes.

    Args:
        graph: `GraphDef`, changed in place.
        slices: as of `found`.
    """
    nodes = {node.name: node for node in graph.node}
    for name, (shape, made) in slices.items():
        node = nodes[name]
        bounds = [plain_ops.constant(nodes, x) for x in node.input[1:4]]
        if all(bound is not None for bound in bounds):
            _write_out(graph, node, shape, made, _taken(node, shape, *bounds))


def _taken(node, shape, begin, end, strides):
    """A `range` of what is taken along each axis, and the axis."""

    def has(mask, i):
        return node.attr[f"{mask}_mask"].i >> i & 1

    added = node.attr["new_axis_mask"].i.bit_count()
    axis = 0
    for i, bounds in enumerate(zip(begin, end, strides, strict=True)):
        if has("ellipsis", i):
            axis += len(shape) - (len(begin) - added - 1)
            continue
        if has("new_axis", i):
            continue
        first, last, step = map(int, bounds)
        size = shape[axis]
        if has("shrink_axis", i):
            first %= size
            yield axis, range(first, first + 1)
        else:
            first = None if has("begin", i) else first
            last = None if has("end", i) else last
            yield axis, range(*slice(first, last, step).indices(size))
        axis += 1


def _write_out(graph, node, shape, made, taken):
    import tensorflow as tf

    kind = node.attr["T"].type
    whole = tf.int32.as_datatype_enum

    def numbers(name, values):
        return plain_ops.add_constant(graph, name, np.array(values, "int32"))

    def reshape(like, source, sizes):
        like.op = "Reshape"
        like.input[:] = [source, numbers(f"{like.name}/shape", sizes)]
        like.attr["T"].type, like.attr["Tshape"].type = kind, whole

    source, *_ = node.input
    controls = [x for x in node.input if x.startswith("^")]
    now = list(shape)
    for axis, left in taken:
        if left == range(now[axis]):
            continue
        name = f"{node.name}/axis_{axis}"
        flat = [math.prod(now[:axis]), now[axis], math.prod(now[axis + 1 :])]
        before = graph.node.add(name=f"{name}/flat")
        reshape(before, source, flat)
        cut = graph.node.add(name=name, op="StridedSlice")
        cut.input.extend(
            [
                before.name,
                numbers(f"{name}/begin", [0, left.start, 0]),
                numbers(f"{name}/end", [0, left.stop, 0]),
                numbers(f"{name}/strides", [1, left.step, 1]),
            ]
        )
        cut.attr["T"].type, cut.attr["Index"].type = kind, whole
        # The other axes are whole; a negative end would count from behind.
        cut.attr["begin_mask"].i = 5
        cut.attr["end_mask"].i = 7 if left.stop < 0 else 5
        source, now[axis] = cut.name, len(left)
    node.attr.clear()
    reshape(node, source, made)
    node.input.extend(controls)
