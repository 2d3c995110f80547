"""Ops that leave their inputs a scale of their own.

The converter gives the inputs and the output of some ops one scale. What other
ops read, too, is then clipped for all of them; so is a sum of int16.
"""

import collections

from tfprune.export.convert.rewritten import plain_ops

_LIMITS = {"Minimum": ("Sub", 0, 1), "Maximum": ("AddV2", 1, 0)}


def rewrite(graph, outputs, counts, wide):
    """Replaces such ops of a traced model by others.

    Args:
        graph: `GraphDef`, changed in place.
        outputs: names of the model's output tensors.
        counts: `dict` from the names of sums to how many values each adds.
        wide: `bool`, whether activations are int16; else they are int8.
    """
    if wide:
        _sums(graph, counts)
    else:
        _limits(graph, outputs)


def _sums(graph, counts):
    """Makes sums along axes means, times the number of values."""
    for node in list(graph.node):
        if node.op != "Sum" or node.name not in counts:
            continue
        mean = graph.node.add()
        mean.CopyFrom(node)
        mean.name, mean.op = f"{node.name}/mean", "Mean"
        kind = node.attr["T"].type
        count = plain_ops.add_constant(
            graph, f"{node.name}/count", counts[node.name], kind
        )
        node.op = "Mul"
        del node.input[:], node.attr["Tidx"], node.attr["keep_dims"]
        node.input.extend([mean.name, count])


def _limits(graph, outputs):
    """min(a, b) becomes a - relu(a - b), and max(a, b) a + relu(b - a)."""
    import tensorflow as tf

    constants = {node.name for node in graph.node if node.op == "Const"}
    same, count = uses(graph, outputs)
    for node in list(graph.node):
        if (
            node.op not in _LIMITS
            or not tf.as_dtype(node.attr["T"].type).is_floating
        ):
            continue
        # A constant comes second.
        a, b = sorted(node.input, key=lambda x: tensor(x) in constants)
        shared = (x for x in (a, b) if tensor(x) not in constants)
        if all(count[same[tensor(x)]] == 1 for x in shared):
            continue
        joined, first, second = _LIMITS[node.op]
        order = (a, b)
        gap = add(graph, node, "Sub", order[first], order[second])
        over = add(graph, node, "Relu", gap)
        node.op = joined
        del node.input[:]
        node.input.extend([a, over])


def uses(graph, outputs):
    """How often the tensors of a graph are read.

    Args:
        graph: `GraphDef`.
        outputs: names of the model's output tensors, which are read once more.

    Returns:
        `(same, counts)`: a `dict` from the name of each node to the first one
        that computes the same, which the converter computes for all of them,
        and a `Counter` of the readers of those.
    """
    same = _same(graph)
    counts = collections.Counter(same[tensor(x)] for x in outputs)
    for node in graph.node:
        if same[node.name] == node.name:
            counts.update({same[tensor(x)] for x in node.input})
    return same, counts


def _same(graph):
    """The first node that computes the same as a node, by their names."""
    found, first = {}, {}
    for node in graph.node:
        names = map(tensor, node.input)
        inputs = tuple(found.get(name, name) for name in names)
        attributes = sorted(
            (k, v.SerializeToString()) for k, v in node.attr.items()
        )
        key = node.name if not inputs else (node.op, inputs, *attributes)
        found[node.name] = first.setdefault(key, node.name)
    return found


def tensor(reference):
    """The name of the node that makes a tensor, given what reads it."""
    return reference.lstrip("^").partition(":")[0]


def add(graph, like, op, *inputs):
    """Adds a node of the type of another; returns its name."""
    node = graph.node.add(name=f"{like.name}/{op}", op=op)
    node.input.extend(inputs)
    node.attr["T"].CopyFrom(like.attr["T"])
    return node.name
