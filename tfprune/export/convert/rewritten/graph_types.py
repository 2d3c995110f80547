"""Changes the types of a traced model to those that the runtimes support.

TFLite computes in float32 only, and TFLite Micro supports few integer types.
Half and double precision become float32; integer inputs of type int64, uint16
and the like become int32.
"""

import collections

from absl import logging

# Types whose values int32 holds, or that count what it can count.
_AS_INT32 = frozenset({"int64", "uint16", "uint32", "uint64"})
# Which attribute says the type of the integers that an op takes, and whether
# what it gives is of the same type.
_INTEGERS = {
    **dict.fromkeys(
        "Add AddV2 Sub Mul Minimum Maximum FloorMod FloorDiv Neg Abs Square "
        "Identity StopGradient Reshape ExpandDims Squeeze Transpose Tile "
        "StridedSlice Slice ConcatV2 Pack Unpack SelectV2 BroadcastTo "
        "ReverseV2 Sum Max Min BiasAdd EnsureShape".split(),
        ("T", True),
    ),
    **dict.fromkeys(
        "Less LessEqual Greater GreaterEqual Equal NotEqual".split(),
        ("T", False),
    ),
    "GatherV2": ("Tindices", False),
    "ResourceGather": ("Tindices", False),
    "GatherNd": ("Tindices", False),
    "OneHot": ("TI", False),
}
# Inputs of another type than that of the attribute.
_OTHERS = {
    "GatherV2": (0, 2),
    "GatherNd": (0,),
    "ResourceGather": (0,),
    "OneHot": (1, 2, 3),
    "Reshape": (1,),
    "ExpandDims": (1,),
    "Transpose": (1,),
    "Tile": (1,),
    "StridedSlice": (1, 2, 3),
    "Slice": (1, 2),
    "SelectV2": (0,),
    "BroadcastTo": (1,),
    "ReverseV2": (1,),
    "Sum": (1,),
    "Max": (1,),
    "Min": (1,),
}


_FLOATS = ("float16", "bfloat16", "float64")


def stored(dtype):
    """The name of the type that replaces another one in a file."""
    return "float32" if dtype in _FLOATS else dtype


def single(graph):
    """Changes all floating-point types to float32.

    Functions get new names: TensorFlow knows the old ones in this process, and
    takes no others of their names.

    Args:
        graph: `GraphDef`, changed in place.
    """
    import tensorflow as tf

    others = {getattr(tf, name).as_datatype_enum for name in _FLOATS}
    whole = tf.float32.as_datatype_enum
    changed = set()
    for function in graph.library.function:
        before = function.SerializeToString()
        for argument in (
            *function.signature.input_arg,
            *function.signature.output_arg,
        ):
            if argument.type in others:
                argument.type = whole
        for node in function.node_def:
            _make_single(node, others, whole)
        _refer_to_identities(function)
        if function.SerializeToString() != before:
            changed.add(function.signature.name)
    for node in graph.node:
        _make_single(node, others, whole)
    _rename(graph, changed)


def _make_single(node, others, whole):
    """Changes the types of a node that are in `others` to `whole`."""
    import tensorflow as tf

    for value in node.attr.values():
        if value.type in others:
            value.type = whole
        for i, kind in enumerate(value.list.type):
            if kind in others:
                value.list.type[i] = whole
        if value.HasField("tensor") and value.tensor.dtype in others:
            array = tf.make_ndarray(value.tensor).astype("float32")
            value.tensor.CopyFrom(tf.make_tensor_proto(array))
    if node.op == "Cast" and node.attr["SrcT"] == node.attr["DstT"]:
        _identity(node)


def _refer_to_identities(function):
    """Gives references to what were casts the name of an identity's output.

    Within a function they are "name:y:0" and "name:output:0".
    """
    were = {
        f"{node.name}:y:0": f"{node.name}:output:0"
        for node in function.node_def
        if node.op == "Identity"
    }
    for node in function.node_def:
        for i, reference in enumerate(node.input):
            node.input[i] = were.get(reference, reference)
    for name, reference in function.ret.items():
        function.ret[name] = were.get(reference, reference)


def _rename(graph, names):
    """Renames functions, and what calls them.

    Functions that call these are renamed, too, as they change.
    """
    functions = {f.signature.name: f for f in graph.library.function}
    waiting = list(names)
    while waiting:
        called = waiting.pop()
        callers = {
            name
            for name, function in functions.items()
            if any(called in _calls(node) for node in function.node_def)
        }
        waiting += callers - names
        names = names | callers
    new = {name: f"{name}_single" for name in names}
    for name in names:
        functions[name].signature.name = new[name]
    bodies = [graph.node, *(f.node_def for f in graph.library.function)]
    for node in (node for body in bodies for node in body):
        node.op = new.get(node.op, node.op)
        for value in node.attr.values():
            for callee in (value.func, *value.list.func):
                if callee.name in new:
                    callee.name = new[callee.name]
    for gradient in graph.library.gradient:
        for key in ("function_name", "gradient_func"):
            own = getattr(gradient, key)
            setattr(gradient, key, new.get(own, own))


def _calls(node):
    """The names of the functions that a node may call, a set of `str`."""
    callees = [
        callee.name
        for value in node.attr.values()
        for callee in (value.func, *value.list.func)
    ]
    return {node.op, *callees}


def narrow(graph, inputs):
    """Changes integer inputs of unsupported types to int32.

    Args:
        graph: `GraphDef`, changed in place.
        inputs: `list` of the names of the nodes that are its inputs.

    Returns:
        `set` of the names of inputs that are now int32.
    """
    import tensorflow as tf

    nodes = {node.name: node for node in graph.node}
    readers = collections.defaultdict(list)
    for node in graph.node:
        for place, reference in enumerate(node.input):
            if not reference.startswith("^"):
                readers[reference.partition(":")[0]].append((node, place))
    starts, found = collections.defaultdict(list), set()
    for node in graph.node:
        if node.op == "Cast":
            kind = tf.as_dtype(node.attr["DstT"].type)
            if kind.name in _AS_INT32:
                node.attr["DstT"].type = tf.int32.as_datatype_enum
                starts[kind].append(node.name)
    for name in inputs:
        kind = tf.as_dtype(nodes[name].attr["dtype"].type)
        # Bytes that are cast to numbers are quantized as they are.
        counting = kind == tf.uint8 and not all(
            node.op == "Cast"
            and tf.as_dtype(node.attr["DstT"].type).is_floating
            for node, _ in readers[name]
        )
        if kind.name in _AS_INT32 or counting:
            nodes[name].attr["dtype"].type = tf.int32.as_datatype_enum
            starts[kind].append(name)
            logging.info(
                "Input %r of %s is of int32 in the file, which TFLite Micro "
                "reads.",
                name,
                kind.name,
            )
            found.add(name)
    for kind, names in starts.items():
        _Narrowing(graph, readers, kind).follow(names)
    for node in graph.node:
        if node.op == "Cast" and node.attr["SrcT"] == node.attr["DstT"]:
            _identity(node)
    return found


class _Narrowing:
    """Makes the readers of an input take int32."""

    def __init__(self, graph, readers, kind):
        import tensorflow as tf

        self._graph, self._readers = graph, readers
        self._kind = kind.as_datatype_enum
        self._int32 = tf.int32.as_datatype_enum
        self._done, self._casts = set(), {}

    def follow(self, starts):
        waiting = list(starts)
        self._done.update(starts)
        while waiting:
            name = waiting.pop()
            self._done.add(name)
            for node, place in self._readers[name]:
                if node.name in self._done:
                    # Already changed, through another input.
                    if cast := self._casts.get((node.name, place)):
                        cast.attr["SrcT"].type = self._int32
                    continue
                if self._takes(node, place):
                    waiting.append(node.name)

    def _takes(self, node, place):
        """Makes a node take int32; returns whether its output is int32, too."""
        if node.op == "Cast":
            node.attr["SrcT"].type = self._int32
            return False
        key, same = _INTEGERS.get(node.op, (None, False))
        others = _OTHERS.get(node.op, ())
        if key is None or place in others:
            self._cast(node, place, self._int32, self._kind)
            return False
        node.attr[key].type = self._int32
        for i, reference in enumerate(node.input):
            source = reference.partition(":")[0]
            if i != place and i not in others and source not in self._done:
                self._cast(node, i, self._kind, self._int32)
        self._done.add(node.name)
        return same

    def _cast(self, node, place, before, after):
        """Casts an input of a node."""
        cast = self._graph.node.add()
        cast.name = f"{node.name}/narrow_{place}"
        cast.op = "Cast"
        cast.input.append(node.input[place])
        cast.attr["SrcT"].type, cast.attr["DstT"].type = before, after
        self._casts[node.name, place] = cast
        node.input[place] = cast.name


def _identity(node):
    """Removes casts that change nothing."""
    kind = node.attr["DstT"].type
    node.op = "Identity"
    node.attr.clear()
    node.attr["T"].type = kind
