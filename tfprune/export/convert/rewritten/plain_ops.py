"""What Keras computes by ops that TFLite lacks, by ops that it has."""

import numpy as np

COMPARES = frozenset(
    "Equal NotEqual Less LessEqual Greater GreaterEqual".split()
)
# From here on a number masks, and does not score.
HUGE = 9e3


def rewrite(graph, tables=()):
    """Replaces ops of a traced model; what it computes stays the same.

    Args:
        graph: `GraphDef`, changed in place.
        tables: names of the nodes that are the weights of `Embedding` layers.
    """
    _lookups(graph, set(tables))
    _sums(graph)
    _choices(graph)
    _counts(graph)
    _matrices(graph)


def _lookups(graph, tables):
    """Looks ids up as they are.

    Keras lets negative ones count from the end. An `Embedding` takes none, and
    the converter has six ops for it, which it cannot quantize to int16.
    """
    nodes = {node.name: node for node in graph.node}

    def source(reference):
        return nodes.get(reference.partition(":")[0])

    for node in graph.node:
        if node.op not in ("GatherV2", "ResourceGather"):
            continue
        table = source(node.input[0])
        while table is not None and table.op in ("ReadVariableOp", "Cast"):
            table = source(table.input[0])
        chosen = source(node.input[1])
        if table is None or table.name not in tables or chosen is None:
            continue
        if chosen.op == "SelectV2" and _counts_from_end(source, chosen):
            node.input[1] = chosen.input[2]


def _counts_from_end(source, chosen):
    """Whether a choice is that between `ids + size` and `ids`, if below 0."""
    below, added = source(chosen.input[0]), source(chosen.input[1])
    return (
        below is not None
        and added is not None
        and (below.op, added.op) == ("Less", "AddV2")
        and chosen.input[2] in below.input
        and chosen.input[2] in added.input
    )


def suit_int16(graph):
    """Replaces ops that the converter cannot quantize to int16.

    Args:
        graph: `GraphDef`, changed in place.
    """
    _compare_floats(graph)
    for node in list(graph.node):
        if node.op == "SquaredDifference":  # TFLite has no kernel of int16.
            less = graph.node.add(name=f"{node.name}/less", op="Sub")
            less.input.extend(node.input)
            less.attr["T"].CopyFrom(node.attr["T"])
            node.op = "Mul"
            node.input[:] = [less.name, less.name]


def _compare_floats(graph):
    """Compares integers as floats.

    The converter quantizes comparisons, too, and has no range of integers.
    """
    import tensorflow as tf

    for node in list(graph.node):
        if node.op not in COMPARES:
            continue
        kind = node.attr["T"].type
        if not tf.as_dtype(kind).is_integer:
            continue
        real = tf.float32.as_datatype_enum
        for i, reference in enumerate(list(node.input)):
            cast = graph.node.add(name=f"{node.name}/real_{i}", op="Cast")
            cast.input.append(reference)
            cast.attr["SrcT"].type, cast.attr["DstT"].type = kind, real
            node.input[i] = cast.name
        node.attr["T"].type = real


def _sums(graph):
    """Makes sums of what the converter takes for biases wrongly.

    Keras adds whatever could be a bias as one: a vector of integers, or of
    other channels than the last, for which it squeezes what it adds.
    """
    import tensorflow as tf

    by_name = {node.name: node for node in graph.node}
    for node in graph.node:
        if node.op != "BiasAdd":
            continue
        added = by_name.get(node.input[1])
        if node.attr["data_format"].s == b"NCHW":
            if added is None or added.op != "Squeeze":
                continue
            node.input[1] = added.input[0]
        elif tf.as_dtype(node.attr["T"].type).is_floating:
            continue
        node.op = "AddV2"
        del node.attr["data_format"]


def _counts(graph):
    """Counts values by comparing each with all that there may be.

    `CategoryEncoding` counts in one op, for which TFLite has no kernel.
    """
    nodes = {node.name: node for node in graph.node}
    for node in list(graph.node):
        if node.op != "DenseBincount":
            continue
        values, size, weights = node.input
        count = _size(nodes, size)
        weighed = constant(nodes, weights)
        if count is None or weighed is None or weighed.size:
            continue  # The converter names the op in its error.
        kind, index = node.attr["T"].type, node.attr["Tidx"].type
        found = graph.node.add(name=f"{node.name}/one_hot", op="OneHot")
        found.input.extend(
            [
                values,
                add_constant(graph, f"{node.name}/size", np.int32(count)),
                add_constant(graph, f"{node.name}/on", 1, kind),
                add_constant(graph, f"{node.name}/off", 0, kind),
            ]
        )
        found.attr["axis"].i = -1
        found.attr["T"].type, found.attr["TI"].type = kind, index
        node.op = "Max" if node.attr["binary_output"].b else "Sum"
        del node.input[:]
        axis = add_constant(graph, f"{node.name}/axis", np.int32(-2))
        node.input.extend([found.name, axis])
        del node.attr["binary_output"]
        node.attr["Tidx"].CopyFrom(graph.node[-1].attr["dtype"])
        node.attr["keep_dims"].b = False


def _size(nodes, reference):
    """How many values are counted; `None` if that depends on the data.

    Keras gives the same number as the least and as the most.
    """
    found = constant(nodes, reference)
    node = nodes.get(reference.partition(":")[0])
    if found is not None or node is None or node.op != "Minimum":
        return found
    most = constant(nodes, node.input[0])
    below = nodes.get(node.input[1].partition(":")[0])
    if most is None or below is None or below.op != "Maximum":
        return None
    least = constant(nodes, below.input[0])
    return most if least is not None and least >= most else None


def constant(nodes, reference):
    """The array of a constant.

    Args:
        nodes: `dict` from names to nodes.
        reference: `str`, what reads it.

    Returns:
        An array; `None` for what is no constant.
    """
    node = nodes.get(reference.partition(":")[0])
    if node is None or node.op != "Const":
        return None
    return numbers(node)


def add_constant(graph, name, value, kind=None):
    """Adds a constant to a graph.

    Args:
        graph: `GraphDef`, changed in place.
        name: `str`, of its node.
        value: number or array.
        kind: its type in TensorFlow; `None` for that of the value.

    Returns:
        Its name.
    """
    import tensorflow as tf

    tensor = tf.make_tensor_proto(value, kind)
    node = graph.node.add(name=name, op="Const")
    node.attr["dtype"].type = tensor.dtype
    node.attr["value"].tensor.CopyFrom(tensor)
    return name


def _choices(graph):
    """Drops the step of Keras' argmax that tells -0.0 from 0.0 by its bits.

    No kernel of TFLite reads bits, and integers know one zero.
    """
    nodes = {node.name: node for node in graph.node}
    for node in graph.node:
        if node.op != "SelectV2":
            continue
        condition, _, values = (
            nodes.get(i.partition(":")[0]) for i in node.input
        )
        if condition is None or values is None:
            continue
        if condition.op == "LogicalAnd" and _reads_bits(nodes, condition):
            kept = node.input[2]
            node.op = "Identity"
            del node.input[:]
            node.input.append(kept)


def _matrices(graph):
    """Computes unit matrices now, such as those that cut out patches.

    The converter leaves them to the runtime, which may have no kernel.
    """
    import tensorflow as tf

    nodes = {node.name: node for node in graph.node}
    found = [
        node.name
        for node in graph.node
        if node.op.startswith(("MatrixDiag", "MatrixSetDiag"))
        and is_constant(nodes, node)
    ]
    if not found:
        return
    with tf.Graph().as_default() as scope:
        tf.graph_util.import_graph_def(graph, name="")
        with tf.compat.v1.Session(graph=scope) as session:
            arrays = session.run([f"{name}:0" for name in found])
    for name, array in zip(found, arrays, strict=True):
        node = nodes[name]
        del node.input[:]
        node.attr.clear()
        node.op = "Const"
        tensor = tf.make_tensor_proto(array)
        node.attr["dtype"].type = tensor.dtype
        node.attr["value"].tensor.CopyFrom(tensor)


def is_constant(nodes, node):
    """Whether a node is computed from constants alone."""
    before = [
        nodes.get(i.partition(":")[0].removeprefix("^")) for i in node.input
    ]
    if not before:
        return node.op == "Const"
    return all(one is not None and is_constant(nodes, one) for one in before)


def _reads_bits(nodes, node, depth=6):
    """Whether an op a few steps before a node looks at the bits of floats."""
    before = (nodes.get(i.partition(":")[0]) for i in node.input)
    return depth > 0 and any(
        one is not None
        and (one.op == "Bitcast" or _reads_bits(nodes, one, depth - 1))
        for one in before
    )


def is_huge(node):
    """Whether a node is a constant with a huge number."""
    if node.op != "Const":
        return False
    array = numbers(node)
    # A whole number may be cast later.
    if array.dtype.kind not in "fi" or not array.size:
        return False
    return float(np.abs(array.astype(float)).max()) >= HUGE


def numbers(node):
    """The array of a constant."""
    import tensorflow as tf

    return tf.make_ndarray(node.attr["value"].tensor)
