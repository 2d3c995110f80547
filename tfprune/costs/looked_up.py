"""Which ops of a file become one look-up in a table.

An element of int8 has 256 values: what is computed of it alone is a table of as
many, whatever ops it takes. CAST, ADD and GATHER look it up, by its place as an
int32.
"""

import collections

from tfprune.graph.lowering import file_op
from tfprune.graph.lowering import in_file

# Ops without a kernel for int8 that is as exact.
_WRITTEN_OUT = {"DEQUANTIZE", "GATHER", "SELECT_V2"}
# Those that compute each element from one of each input.
_OF_ELEMENTS = _WRITTEN_OUT | set(
    "ABS ADD CAST DIV EQUAL GREATER GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS "
    "LESS_EQUAL LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC MAXIMUM MINIMUM "
    "MUL NOT_EQUAL QUANTIZE RELU RSQRT SQUARED_DIFFERENCE SUB TANH".split()
)


def tabulated(found):
    """Functions of single elements of one tensor are one look-up each."""
    functions = _functions(found)
    longer = collections.defaultdict(list)
    for op in found.ops:
        for tensor in op.inputs:
            longer[id(found.home(tensor))].append(op)
    stay = {id(found.home(t)) for t in found.ends}

    def change(op):
        root, kinds = functions.get(id(op.output), (None, frozenset()))
        inside = id(op.output) not in stay and all(
            functions.get(id(reader.output), (None,))[0] is root
            for reader in longer[id(op.output)]
        )
        is_int8 = file_op.dtype(op.output) == "int8"
        if inside or not is_int8 or not kinds & _WRITTEN_OUT:
            return [op]
        file = in_file.InFile()
        file.look_up(root)
        file.end(op.outputs)
        return file.ops

    return _without_unread(found.rewritten(change), set(functions))


def _functions(found):
    """What is a function of single elements of an int8 tensor.

    Returns:
        `dict` from the `id` of a tensor to the one that it is a function of,
        and the set of the kinds of ops in between.
    """
    functions = {}
    for op in found.ops:
        if op.in_time or not _is_of_elements(op):
            continue
        homes = [found.home(tensor) for tensor in op.inputs]
        known = [functions.get(id(x), (x, frozenset())) for x in homes]
        roots = {id(root): root for root, _ in known}
        sizes = {tuple(map(file_op.size, x.parts)) for x in (*homes, op.output)}
        root = known[0][0]
        if len(roots) == len(sizes) == 1 and file_op.dtype(root) == "int8":
            kinds = {op.kind}.union(*(kinds for _, kinds in known))
            functions[id(op.output)] = root, frozenset(kinds)
    return functions


def _is_of_elements(op):
    """Whether each element of an op's output is made of one of each input."""
    places = {"CAST": op.outputs, "GATHER": op.inputs}.get(op.kind, ())
    is_plain = all(file_op.dtype(x) == "int32" for x in places)
    has_array = op.stored or (op.scales and not op.same)
    return op.kind in _OF_ELEMENTS and is_plain and not has_array


def _without_unread(found, inner):
    """Without the ops of which nothing is read.

    Args:
        found: `FileOps`.
        inner: the `id`s of the tensors that may be left out.
    """
    while True:
        readers = found.readers()
        left = inner - {key for key, count in readers.items() if count}
        kept = [op for op in found.ops if id(op.output) not in left]
        if len(kept) == len(found.ops):
            return found
        kept = set(map(id, kept))
        found = found.rewritten(lambda op, kept=kept: [op] * (id(op) in kept))
