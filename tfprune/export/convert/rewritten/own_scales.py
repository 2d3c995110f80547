"""Ops that leave their inputs a scale of their own.

The converter gives the inputs and the output of some ops one scale. What other
ops read, too, is then clipped for all of them; so is a sum of int16.
"""

import collections

from tfprune.export.convert.rewritten import plain_ops

_LIMITS = {"Minimum": ("Sub", 0, 1), "Maximum": ("AddV2", 1, 0)}
ONE_SCALE = frozenset(
    "Select SelectV2 Minimum Maximum Max Min Reshape Squeeze ExpandDims "
    "Transpose StridedSlice Slice Split SplitV Unpack GatherV2 GatherNd Pad "
    "PadV2 MirrorPad Tile BroadcastTo ReverseV2 MaxPool AvgPool ConcatV2 Pack "
    "ResizeBilinear ResizeNearestNeighbor SpaceToDepth DepthToSpace "
    "SpaceToBatchND BatchToSpaceND Identity StopGradient".split()
)
# Those which compute other values than they read.
_MEANS = ("AvgPool", "ResizeBilinear")
# Places of what says which values are taken, and is none of them.
_WHICH = {
    "Select": (0,),
    "SelectV2": (0,),
    "GatherV2": (1, 2),
    "GatherNd": (1,),
}


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
    """min(a, b) becomes a - relu(a - b), and max(a, b) a + relu(b - a).

    The first is a constant if there is one and the other may mask by -1e9. Else
    the other is: its steps stay as small as they are, whatever the constant is.
    """
    import tensorflow as tf

    constants = {node.name for node in graph.node if node.op == "Const"}
    huge = {node.name for node in graph.node if plain_ops.is_huge(node)}
    uses = Uses(graph, outputs)
    # Found first, as `uses` does not know what is added.
    masked = {
        node.name
        for node in graph.node
        if node.op in _LIMITS and not huge.isdisjoint(uses.before(node.name))
    }
    for node in list(graph.node):
        if (
            node.op not in _LIMITS
            or not tf.as_dtype(node.attr["T"].type).is_floating
        ):
            continue
        if any(tensor(x) in huge for x in node.input):
            continue
        if not any(uses.is_shared(x) for x in node.input):
            continue
        a, b = sorted(node.input, key=lambda x: tensor(x) in constants)
        if tensor(b) in constants and node.name in masked:
            a, b = b, a
        joined, first, second = _LIMITS[node.op]
        order = (a, b)
        gap = add(graph, node, "Sub", order[first], order[second])
        over = add(graph, node, "Relu", gap)
        node.op = joined
        del node.input[:]
        node.input.extend([a, over])


class Uses:
    """What else reads the tensors that ops of one scale read.

    An op of one scale hands that of its output on to its input, and to what
    ops of one scale make this input from.

    Args:
        graph: `GraphDef`.
        outputs: names of the model's output tensors, which are read once more.
        end: names of ops of one scale that are left out, with all before them.
    """

    def __init__(self, graph, outputs, end=()):
        self._nodes = {node.name: node for node in graph.node}
        self._end = end
        # Of equal ops the converter computes one.
        self._same = _same(graph)
        counts = collections.Counter(self._same[tensor(x)] for x in outputs)
        for node in graph.node:
            if self._same[node.name] == node.name:
                counts.update({self._same[tensor(x)] for x in node.input})
        self._counts = counts

    def sources(self, reference):
        """The names of the nodes that make a tensor by ops of one scale."""
        return [
            node.name
            for node in self._before(reference)
            if node.op not in ONE_SCALE
        ]

    def shared_ends(self, reference):
        """The names of ops before a tensor, at the end, that others read."""
        names = {
            tensor(x)
            for node in self._before(reference)
            if node.op in ONE_SCALE
            for x in self._values(node)
        }
        return [
            name
            for name in sorted(names)
            if self._nodes[name].op in self._end
            and (
                self._counts[self._same[name]] > 1 or self.is_shared(reference)
            )
        ]

    def is_shared(self, reference):
        """Whether a scale handed on to a tensor would clip other values."""
        return any(
            self._counts[self._same[node.name]] > 1 or node.op in _MEANS
            for node in self._before(reference)
        )

    def before(self, reference):
        """The names of all nodes from which a tensor is computed, a `set`."""
        found, waiting = set(), [reference]
        while waiting:
            name = tensor(waiting.pop())
            if name not in found:
                found.add(name)
                waiting += self._nodes[name].input
        return found

    def _before(self, reference):
        """The nodes on the way from the sources of a tensor, no constants."""
        found, waiting = {}, [reference]
        while waiting:
            reference = waiting.pop()
            node = self._nodes[tensor(reference)]
            known = reference.startswith("^") or node.name in found
            if known or node.op == "Const" or node.op in self._end:
                continue
            found[node.name] = node
            if node.op in ONE_SCALE:
                waiting += self._values(node)
        return found.values()

    def _values(self, node):
        """The inputs of an op of one scale of which it takes values."""
        which = _WHICH.get(node.op, ())
        return [x for i, x in enumerate(node.input) if i not in which]


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
