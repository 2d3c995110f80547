"""Keeps ids (integers that select something) exact in quantized files.

Keras casts ids to floats and back, as do models whose input is float by
default. In an int8 file the float in between has 256 values, so of a thousand
ids about four become one. So everything between the two casts is computed on
integers.
"""

import collections

import numpy as np
from absl import logging

from tfprune.export.convert.rewritten import plain_ops

# Ops that only move the elements of their first input.
_MOVES = frozenset(
    "Identity StopGradient Reshape ExpandDims Squeeze Transpose StridedSlice "
    "Slice Tile BroadcastTo EnsureShape".split()
)
# The inputs of each op that hold ids.
_SELECTS = {
    "GatherV2": (1,),
    "GatherNd": (1,),
    "ResourceGather": (1,),
    "ResourceGatherNd": (1,),
    "OneHot": (0,),
    "ScatterNd": (0,),
    "TensorScatterUpdate": (1,),
    "DenseBincount": (0,),
    "Bincount": (0,),
}


def keep_whole(graph, inputs, interface):
    """Rewrites a traced model so that ids do not pass through floats.

    Args:
        graph: `GraphDef` of a model to be quantized; changed in place.
        inputs: `list` of the names of the nodes that are its inputs.
        interface: `str`, the dtype of inputs that are quantized; "float32" if
            they are not.

    Returns:
        `set` of the input nodes that hold only ids, which are now int32.

    Raises:
        ValueError: If ids are computed from quantized numbers or share an input
            with them.
    """
    editor = _Editor(graph, set(inputs))
    roots = editor.push_casts_up()
    found = set()
    for name in inputs:
        if not roots[name]:
            continue
        others = editor.readers(name) - {cast.name for cast in roots[name]}
        compared = editor.comparisons(name, others)
        others -= set(compared)
        if interface == "float32":
            # The cast is the first thing that the file does.
            if not others:
                editor.compare_integers(compared, roots[name][0])
            continue
        if others:
            raise ValueError(
                "Ids must be integers in a quantized file. Received: an "
                f"input that holds ids (for {_short(roots[name][0].name)}) "
                "beside numbers, which become int8. Give the ids a separate "
                'input, keras.Input(shape, dtype="int32").'
            )
        editor.make_integer(name, roots[name])
        editor.compare_integers(compared)
        logging.info("Input %r holds ids: it is of int32 in the file.", name)
        found.add(name)
    editor.refuse_computed(interface)
    return found


class _Editor:
    """A graph with queries and edits."""

    def __init__(self, graph, inputs):
        import tensorflow as tf

        self.types = tf.dtypes
        self.graph = graph
        self.inputs = inputs
        self.nodes = {node.name: node for node in graph.node}
        self._left = {}

    def _floats_to_integers(self, node):
        return (
            node.op == "Cast"
            and self.types.as_dtype(node.attr["SrcT"].type).is_floating
            and self.types.as_dtype(node.attr["DstT"].type)
            in (self.types.int32, self.types.int64)
        )

    def push_casts_up(self):
        """Moves each cast to integers before the ops that only move elements.

        Returns:
            `dict` from the names of inputs to the casts that now read them.
        """
        roots = collections.defaultdict(list)
        for cast in [n for n in self.graph.node if self._floats_to_integers(n)]:
            path, source = self._path(cast)
            whole = source.op == "Cast" and self.types.as_dtype(
                source.attr["SrcT"].type
            ) in (self.types.int32, self.types.int64)
            if not whole and source.name not in self.inputs:
                continue
            start = source.input[0] if whole else source.name
            kind = source.attr["SrcT"] if whole else source.attr["dtype"]
            first = self.graph.node.add()
            first.CopyFrom(cast)
            first.name = f"{cast.name}/whole"
            del first.input[:]
            first.input.append(start)
            first.attr["SrcT"].CopyFrom(kind)
            self.nodes[first.name] = first
            last = first
            for node in reversed(path):
                self._left[node.name] = node
                last = self._moved(node, last, cast)
            cast.op = "Identity"
            del cast.input[:]
            cast.input.append(last.name)
            cast.attr["T"].CopyFrom(cast.attr["DstT"])
            for key in ("SrcT", "DstT", "Truncate"):
                del cast.attr[key]
            if not whole:
                roots[source.name].append(first)
        self._drop_unread()
        return roots

    def _drop_unread(self):
        """Drops ops that moved floats for casts that were moved away."""
        left = dict(self._left)
        while True:
            read = {_node(i) for node in self.graph.node for i in node.input}
            dead = [name for name in left if name not in read]
            if not dead:
                return
            for name in dead:
                self.graph.node.remove(left.pop(name))
                del self.nodes[name]

    def _path(self, cast):
        """The ops that move elements before a cast, and their source."""
        path = []
        node = self.nodes[_node(cast.input[0])]
        while node.op in _MOVES and node.name not in self.inputs:
            path.append(node)
            node = self.nodes[_node(node.input[0])]
        return path, node

    def _moved(self, node, before, cast):
        """Adds an integer node that does to `before` what `node` does."""
        new = self.graph.node.add()
        new.CopyFrom(node)
        new.name = f"{cast.name}/{node.name.replace('/', '_')}"
        new.input[0] = before.name
        new.attr["T"].CopyFrom(cast.attr["DstT"])
        self.nodes[new.name] = new
        return new

    def readers(self, name):
        """The names of the nodes that read a node."""
        return {
            node.name
            for node in self.graph.node
            if any(_node(i) == name for i in node.input)
        }

    def comparisons(self, name, readers):
        """Comparisons of an input with whole numbers, as those of masks.

        Args:
            name: `str`, the input.
            readers: names of nodes that read it.

        Returns:
            `dict` from the names of those among `readers` that compare it to
            `(place, number)`: which of their inputs is an array, and which.
        """
        found = {}
        for reader in readers:
            node = self.nodes[reader]
            if node.op not in plain_ops.COMPARES:
                continue
            place = 1 - [_node(i) for i in node.input].index(name)
            number = self._constant(self.nodes[_node(node.input[place])])
            if number is not None and (number == np.floor(number)).all():
                found[reader] = place, number
        return found

    def _constant(self, node):
        import tensorflow as tf

        while node.op in ("Cast", "Identity"):
            node = self.nodes[_node(node.input[0])]
        if node.op != "Const":
            return None
        return tf.make_ndarray(node.attr["value"].tensor)

    def compare_integers(self, compared, cast=None):
        """Lets what `comparisons` found compare int32, or what a cast gives."""
        whole = self.types.int32.as_datatype_enum
        for name, (place, number) in compared.items():
            node = self.nodes[name]
            if cast is not None:
                node.input[1 - place] = cast.name
                whole = cast.attr["DstT"].type
            node.input[place] = plain_ops.add_constant(
                self.graph, f"{name}/whole", number.astype("int64"), whole
            )
            node.attr["T"].type = whole

    def make_integer(self, name, casts):
        """Changes an input to int32."""
        whole = self.types.int32.as_datatype_enum
        self.nodes[name].attr["dtype"].type = whole
        for cast in casts:
            cast.attr["SrcT"].type = whole

    def refuse_computed(self, interface):
        """Raises `ValueError` if ids are still computed from floats."""
        selecting = self._selecting()
        for node in self.graph.node:
            made = self._floats_to_integers(node) or node.op == "Bucketize"
            if not made or node.name not in selecting:
                continue
            if node.input[0] in self.inputs and interface == "float32":
                continue
            _, source = self._path(node)
            if source.op == "ReadVariableOp":
                continue
            # The place of a median follows from the number of values.
            if plain_ops.is_constant(self.nodes, source):
                continue
            raise ValueError(
                "Ids must be integers in a quantized file. Received: "
                f"{_short(node.name)}, which makes ids for "
                f"{_short(selecting[node.name])} from numbers that become "
                "int8. Compute them outside the model and pass them as a "
                'separate input, keras.Input(shape, dtype="int32").'
            )

    def _selecting(self):
        """`dict` from each source of ids to the op that uses them."""
        found = {}
        for node in self.graph.node:
            for place in _SELECTS.get(node.op, ()):
                waiting = [_node(node.input[place])]
                while waiting:
                    name = waiting.pop()
                    if name in found or name not in self.nodes:
                        continue
                    found[name] = node.name
                    before = self.nodes[name]
                    if not self._floats_to_integers(before):
                        waiting += map(_node, before.input)
        return found


def _node(reference):
    """The node that an input of another node refers to."""
    return reference.removeprefix("^").partition(":")[0]


def _short(name):
    return repr(name.removesuffix("/whole"))
