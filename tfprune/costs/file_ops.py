"""The ops of a model's int8 file, in the order in which they run.

Each layer's rule tells what it becomes. Here the ops of all layers meet:
kernels take over the scales, offsets and ReLUs behind them, and layers of one
axis are computed on maps of one row, between two reshapes.
"""

import collections
import dataclasses

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


@dataclasses.dataclass(frozen=True, eq=False)
class FileOps:
    """The ops of a file.

    Attributes:
        ops: list of `FileOp`.
        layers: list of `str`, the path of the layer that each belongs to.
        shared: `dict` from the `id` of a tensor that no op makes, since it is
            part of another op or nothing but a name, to the tensor that is in
            its place.
    """

    ops: list = dataclasses.field(default_factory=list)
    layers: list = dataclasses.field(default_factory=list)
    shared: dict = dataclasses.field(default_factory=dict)

    def home(self, tensor):
        """The tensor that is in the place of another one, or itself."""
        while id(tensor) in self.shared:
            tensor = self.shared[id(tensor)]
        return tensor

    @property
    def kinds(self):
        """The kinds of ops, a set of `str`."""
        return {op.kind for op in self.ops}


def of(graph):
    """The ops of a graph.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        `FileOps`.
    """
    found, made_by, finished = FileOps(), {}, set()
    for step in graph.steps:
        if not step.file_ops and step.inputs:
            found.shared[id(step.outputs[0])] = step.inputs[0]
    pairs = [(op, step.layer) for step in graph.steps for op in step.file_ops]
    pairs = _with_celu(pairs, found)
    pairs = _of_own_scale(pairs, _readers(pairs, graph.outputs, found), found)
    readers = _readers(pairs, graph.outputs, found)
    for op, layer in pairs:
        home = found.home(op.inputs[0])
        before = made_by.get(id(home))
        free = id(home) not in finished and readers[id(home)] == 1
        if before is not None and free and _is_part(op, before):
            found.shared[id(op.output)] = op.inputs[0]
            readers[id(home)] = readers[id(op.output)]
            if op.kind == "RELU":
                finished.add(id(home))
            continue
        found.ops.append(op)
        found.layers.append(layer)
        made_by |= dict.fromkeys(map(id, op.outputs), op)
    ends = {id(found.home(t)) for t in graph.outputs}
    found = _reshaped(_scaled_behind(found, finished | ends))
    return _once_reshaped(found, ends)


def _readers(pairs, outputs, found):
    """How many ops and outputs read a tensor, by its `id`, a `Counter`."""
    readers = collections.Counter(id(found.home(t)) for t in outputs)
    for op, _ in pairs:
        readers.update({id(found.home(t)) for t in op.inputs})
    return readers


def _with_celu(pairs, found):
    """Replaces celu by a table, or what it is behind a dense layer.

    There the part above zero is a second product, with a ReLU, so that what is
    computed has two inputs.

    Args:
        pairs: list of `(op, layer)`.
        found: `FileOps`.

    Returns:
        As `pairs`.
    """
    made_by, changed = {}, []
    for op, layer in pairs:
        made_by |= dict.fromkeys(map(id, op.outputs), op)
        ops = [op]
        if op.kind == file_op.CELU:
            (x,), file = op.inputs, in_file.InFile()
            before = made_by.get(id(found.home(x)))
            while before is not None and before.scales:
                before = made_by.get(id(found.home(before.inputs[0])))
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
            ops = [dataclasses.replace(part, **how) for part in file.ops]
        changed += [(part, layer) for part in ops]
    return changed


def _of_own_scale(pairs, readers, found):
    """Replaces limits of what others read, which would share their scale.

    max(a, b) becomes a + relu(b - a), and min(a, b) becomes a - relu(a - b).

    Args:
        pairs: list of `(op, layer)`.
        readers: as `_readers` returns it.
        found: `FileOps`.

    Returns:
        As `pairs`.
    """
    shared = {home for home, count in readers.items() if count > 1}
    changed = []
    for op, layer in pairs:
        is_tied = any(id(found.home(t)) in shared for t in op.inputs)
        is_limit = op.kind in _LIMITS and file_op.dtype(op.output) == "int8"
        if is_limit and is_tied:
            last, order = _LIMITS[op.kind]
            more = file_op.like(op.output)
            how = {"times": op.times, "in_time": op.in_time}
            gap = file_op.FileOp("SUB", op.inputs[::order], (more,), **how)
            changed.append((gap, layer))
            ends = (op.inputs[0], more), op.outputs
            op = file_op.FileOp(last, *ends, **how)
        changed.append((op, layer))
        if op.kind in _MEANS or (op.kind in _OF_ONE_SCALE and is_tied):
            shared.update(map(id, op.outputs))
    return changed


def _is_part(op, before):
    """Whether the op before another one can take it over."""
    if op.kind == "RELU":
        return before.kind in _WITH_RELU
    return op.scales and before.kind in file_op.WITH_KERNEL


def _scaled_behind(found, stay):
    """Leaves out scales and offsets that the only kernel behind takes over.

    Args:
        found: `FileOps`.
        stay: set of the `id`s of tensors that are needed as they are.

    Returns:
        `FileOps`.
    """
    readers = collections.defaultdict(list)
    for op in found.ops:
        for tensor in op.inputs:
            readers[id(found.home(tensor))].append(op)
    left = set()
    for op in reversed(found.ops):
        behind = readers[id(op.output)]
        free = op.scales and id(op.output) not in stay and len(behind) == 1
        if free and _scales_input(behind[0], op):
            left.add(id(op))
            found.shared[id(op.output)] = op.inputs[0]
            home = id(found.home(op.inputs[0]))
            readers[home] = [behind[0] if r is op else r for r in readers[home]]
    kept = [n for n, op in enumerate(found.ops) if id(op) not in left]
    ops, layers = ([x[n] for n in kept] for x in (found.ops, found.layers))
    return FileOps(ops, layers, found.shared)


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


def _reshaped(found):
    """Adds the reshapes around layers of one axis, and dense ones of many.

    One on each side, unless another layer of one axis is there.

    Args:
        found: `FileOps`.

    Returns:
        `FileOps`.
    """
    made_by = {id(t): op for op in found.ops for t in op.outputs}
    of_one_axis = {
        id(op) for op in found.ops if len(op.window) == 1 and not op.in_time
    }
    before = {
        id(op): _makers(op, found, made_by, of_one_axis) for op in found.ops
    }
    behind = {number: set() for number in of_one_axis}
    for op in found.ops:
        if not _is_passed(op, of_one_axis):
            for number in before[id(op)] & of_one_axis:
                behind[number].add(id(op))
    ops, layers = [], []
    for op, layer in zip(found.ops, found.layers, strict=True):
        around = [op]
        if id(op) in of_one_axis:
            first = not before[id(op)] <= of_one_axis
            last = not behind[id(op)] or not behind[id(op)] <= of_one_axis
            around = _between_reshapes(op, first, last)
        elif _is_flattened(op):
            around = _between_reshapes(op, True, True)
        ops += around
        layers += [layer] * len(around)
    return FileOps(ops, layers, found.shared)


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


def _once_reshaped(found, stay):
    """Makes reshapes that follow each other one.

    Args:
        found: `FileOps`.
        stay: set of the `id`s of tensors that are needed as they are.

    Returns:
        `FileOps`.
    """
    readers = collections.Counter(
        id(found.home(t)) for op in found.ops for t in op.inputs
    )
    made_by, left = {}, set()
    ops = list(found.ops)
    for number, op in enumerate(ops):
        if op.kind != "RESHAPE" or op.times > 1:
            continue
        before = made_by.pop(id(found.home(op.inputs[0])), None)
        if before is not None:
            ops[number] = dataclasses.replace(op, inputs=ops[before].inputs)
            left.add(before)
        made = id(op.output)
        if readers[made] == 1 and made not in stay:
            made_by[made] = number
    kept = [number for number in range(len(ops)) if number not in left]
    return FileOps(
        [ops[number] for number in kept],
        [found.layers[number] for number in kept],
        found.shared,
    )


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


def _is_passed(op, of_one_axis):
    return op.kind in _OF_ANY_RANK and id(op) not in of_one_axis


def _makers(op, found, made_by, of_one_axis):
    """The `id`s of the ops before another one, but for those of any rank."""
    makers, passed, queue = set(), set(), [op]
    while queue:
        for tensor in queue.pop().inputs:
            before = made_by.get(id(found.home(tensor)))
            if before is None or not _is_passed(before, of_one_axis):
                makers.add(id(before))
            elif id(before) not in passed:
                passed.add(id(before))
                queue.append(before)
    return makers
