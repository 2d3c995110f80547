"""How ops of a file become others where those of all layers meet.

Each rewriting is a function from `FileOps` to others; `IN_ORDER` lists them.
"""

import collections
import dataclasses

from tfprune.costs import channels_last
from tfprune.costs import looked_up
from tfprune.graph.lowering import few_axes
from tfprune.graph.lowering import file_op
from tfprune.graph.lowering import in_file

# Ops with a ReLU of their own.
_WITH_RELU = {
    *file_op.WITH_KERNEL,
    *("ADD", "AVERAGE_POOL_2D", "MAX_POOL_2D", "MUL", "SUB"),
}
# Ops that give their inputs the scale of their output; and those of them that
# compute other values than they read.
_MEANS = {"AVERAGE_POOL_2D", "RESIZE_BILINEAR"}
_OF_ONE_SCALE = _MEANS | set(
    "BROADCAST_TO CONCATENATION DEPTH_TO_SPACE MAXIMUM MAX_POOL_2D MINIMUM "
    "PACK PAD REDUCE_MAX REDUCE_MIN RESHAPE RESIZE_NEAREST_NEIGHBOR REVERSE_V2 "
    "SELECT_V2 SLICE SPACE_TO_DEPTH SPLIT STRIDED_SLICE TRANSPOSE "
    "UNPACK".split()
)
# By which op the part beyond a limit is cut out, and the order of the inputs of
# the difference that tells this part.
_LIMITS = {"MAXIMUM": ("ADD", -1), "MINIMUM": ("SUB", 1)}
# Ops that reshapes are moved across.
_OF_ANY_RANK = {"ADD", "FULLY_CONNECTED", "MUL", "SUB"}


def celu(found):
    """celu is looked up in a table, or has two inputs behind a dense layer.

    There the part above zero is a second product, with a ReLU.
    """
    makers = found.makers()

    def change(op):
        if op.kind != file_op.CELU:
            return [op]
        (x,), file = op.inputs, in_file.InFile()
        before = makers.get(id(found.home(x)))
        while before is not None and before.scales:
            before = makers.get(id(found.home(before.inputs[0])))
        if before is None or before.kind != file_op.DENSE or op.in_time:
            file.look_up(x)
        else:
            above = file.op("ADD", x, file.op("SUB", x))
            rest = file_op.like(x)
            how = {"outputs": (rest,), "again": True}
            file.ops.append(dataclasses.replace(before, **how))
            below = file.look_up(file.op("SUB", x, rest))
            file.op("ADD", above, below)
        file.end(op.outputs)
        how = {"times": op.times, "in_time": op.in_time}
        return [dataclasses.replace(part, **how) for part in file.ops]

    return found.rewritten(change)


def limits_of_own_scale(found):
    """Limits of what others read would give these their scale.

    max(a, b) becomes a + relu(b - a), and min(a, b) becomes a - relu(a - b).
    """
    tied = {home for home, count in found.readers().items() if count > 1}

    def change(op):
        is_tied = any(id(found.home(t)) in tied for t in op.inputs)
        is_limit = op.kind in _LIMITS and file_op.dtype(op.output) == "int8"
        ops = [op]
        if is_limit and is_tied:
            last, order = _LIMITS[op.kind]
            more = file_op.like(op.output)
            how = {"times": op.times, "in_time": op.in_time}
            ends = (op.inputs[0], more), op.outputs
            ops = [
                file_op.FileOp("SUB", op.inputs[::order], (more,), **how),
                file_op.FileOp(last, *ends, **how),
            ]
        kind = ops[-1].kind
        if kind in _MEANS or (kind in _OF_ONE_SCALE and is_tied):
            tied.update(map(id, op.outputs))
        return ops

    return found.rewritten(change)


def taken_over(found):
    """Kernels take over the scales, offsets and ReLUs that alone read them."""
    readers, makers = found.readers(), {}
    ops, layers = [], []
    for op, layer in zip(found.ops, found.layers, strict=True):
        home = id(found.home(op.inputs[0]))
        place = makers.get(home)
        alone = place is not None and readers[home] == 1
        if alone and _is_part(op, ops[place]):
            found.shared[id(op.output)] = op.inputs[0]
            readers[home] = readers[id(op.output)]
            if op.kind == "RELU":
                ops[place] = dataclasses.replace(ops[place], relu=True)
            continue
        makers |= dict.fromkeys(map(id, op.outputs), len(ops))
        ops.append(op)
        layers.append(layer)
    return dataclasses.replace(found, ops=ops, layers=layers)


def _is_part(op, before):
    """Whether the op before another one can take it over."""
    if before.relu:
        return False
    if op.kind == "RELU":
        return before.kind in _WITH_RELU
    is_row = channels_last.is_row(before)
    return op.scales and before.kind in file_op.WITH_KERNEL and not is_row


def taken_over_before(found):
    """The only kernel behind scales and offsets takes them over."""
    stay = {id(found.home(t)) for t in found.ends}
    readers = collections.defaultdict(list)
    for op in found.ops:
        for tensor in op.inputs:
            readers[id(found.home(tensor))].append(op)
    left = set()
    for op in reversed(found.ops):
        behind = readers[id(op.output)]
        stays = op.relu or id(op.output) in stay
        free = op.scales and not stays and len(behind) == 1
        if free and _scales_input(behind[0], op):
            left.add(id(op))
            found.shared[id(op.output)] = op.inputs[0]
            home = id(found.home(op.inputs[0]))
            readers[home] = [behind[0] if r is op else r for r in readers[home]]
    return found.rewritten(lambda op: [] if id(op) in left else [op])


def _scales_input(kernel, op):
    """Whether a kernel takes over the scale or offset before it."""
    if kernel.kind == file_op.DENSE:
        return not kernel.in_time
    if kernel.kind not in file_op.CONVOLUTIONS or not op.same:
        return False
    return op.kind == "MUL" or _is_within(kernel)


def _is_within(op):
    """Whether a convolution reads nothing beyond the border of its input."""
    sizes = zip(
        *(op.inputs[0].parts, op.output.parts, op.window, op.strides),
        strict=False,
    )
    return op.kind != "TRANSPOSE_CONV" and all(
        isinstance(read, int) and made == (read - size) // stride + 1
        for read, made, size, stride in sizes
    )


def reshaped(found):
    """Reshapes stand around layers of one axis, and dense ones of many.

    Layers of one axis run on maps of one row: one reshape on each side, unless
    another layer of one axis is there.
    """
    rows = {
        id(op)
        for op in found.ops
        if len(op.window) == 1
        and not op.in_time
        and not channels_last.is_row(op)
    }
    begins, ends = _first_of(rows, found), _last_of(rows, found)

    def change(op):
        if id(op) in rows:
            return _between_reshapes(op, id(op) in begins, id(op) in ends)
        if _is_flattened(op):
            return _between_reshapes(op, True, True)
        return [op]

    return found.rewritten(change)


def _is_passed(op, rows):
    """Whether reshapes are moved across an op."""
    return op.kind in _OF_ANY_RANK and id(op) not in rows


def _first_of(rows, found):
    """The `id`s of those ops that read something of other ops."""
    inside, first = set(), set()
    for op in found.ops:
        known = all(id(found.home(t)) in inside for t in op.inputs)
        if id(op) in rows and not known:
            first.add(id(op))
        if known if _is_passed(op, rows) else id(op) in rows:
            inside.update(map(id, op.outputs))
    return first


def _last_of(rows, found):
    """The `id`s of those ops that are read by others, or by none."""
    # Whether a tensor is read at all, and by others.
    is_read, by_others, last = set(), set(), set()
    for op in reversed(found.ops):
        made = set(map(id, op.outputs))
        is_passed = _is_passed(op, rows)
        if id(op) in rows and (not made & is_read or made & by_others):
            last.add(id(op))
        read = {id(found.home(t)) for t in op.inputs}
        if not is_passed or made & is_read:
            is_read |= read
        if made & by_others if is_passed else id(op) not in rows:
            by_others |= read
    return last


def _is_flattened(op):
    """Whether a dense layer runs on fewer axes than it has.

    Kernels take four, and two where all weights have one scale and words divide
    what it reads.
    """
    if op.kind != file_op.DENSE or op.in_time or not op.output.parts:
        return False
    *outer, units = op.output.parts
    depth = op.inputs[0].parts[-1:]
    if len(outer) >= few_axes.MOST_AXES - 1:
        return True
    units, depth = file_op.size(units), file_op.size(depth)
    return bool(outer) and units == 1 and depth % 4 == 0


def _between_reshapes(op, first, last):
    """A list of an op, with a reshape before and one behind it if so."""
    found = []
    if first:
        x = file_op.like(op.inputs[0])
        found.append(file_op.FileOp("RESHAPE", op.inputs[:1], (x,)))
        op = dataclasses.replace(op, inputs=(x, *op.inputs[1:]))
    if not last:
        return [*found, op]
    x = file_op.like(op.output)
    back = file_op.FileOp("RESHAPE", (x,), op.outputs)
    return [*found, dataclasses.replace(op, outputs=(x,)), back]


def reshaped_once(found):
    """Reshapes that follow each other are one."""
    stay = {id(found.home(t)) for t in found.ends}
    readers = collections.Counter(
        id(found.home(t)) for op in found.ops for t in op.inputs
    )
    makers, left, sources = {}, set(), {}
    for op in found.ops:
        if op.kind != "RESHAPE" or op.times > 1:
            continue
        before = makers.pop(id(found.home(op.inputs[0])), None)
        if before is not None:
            sources[id(op)] = sources.get(id(before), before.inputs)
            left.add(id(before))
        if readers[id(op.output)] == 1 and id(op.output) not in stay:
            makers[id(op.output)] = op

    def change(op):
        if id(op) in left:
            return []
        if id(op) not in sources:
            return [op]
        return [dataclasses.replace(op, inputs=sources[id(op)])]

    return found.rewritten(change)


IN_ORDER = (
    celu,
    limits_of_own_scale,
    taken_over,
    taken_over_before,
    looked_up.tabulated,
    channels_last.turned,
    reshaped,
    reshaped_once,
)
