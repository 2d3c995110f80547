"""Einsum layers and ops, and the matrix products that are written as einsums.

A letter that stands in the input and in the kernel but not in the output is
summed over: the kernel reads those channels. A letter that stands in the
kernel and in the output but not in the input is new: the kernel writes them.
All other letters pass channels on.
"""

import math
import string

import keras
import numpy as np

from tfprune.graph import call as call_lib
from tfprune.graph import labels as labels_lib
from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib
from tfprune.graph.lowering import file_op
from tfprune.graph.rules import activation
from tfprune.graph.rules import additions

READS, WRITES = call_lib.READS, call_lib.WRITES


class Letters:
    """The subscripts of one operand of an equation.

    Args:
        text: `str` such as `"abc"`, `"...bc"` or `"ab..."`.
        rank: `int`, the rank of the operand.

    Attributes:
        axes: `dict` from letter to axis.
        order: `str`, the letters without the ellipsis.
        left: `bool`, whether the ellipsis comes first.
        elided: `range`, the axes that the ellipsis stands for.
    """

    def __init__(self, text, rank):
        head, dots, tail = text.partition("...")
        self.axes = {c: i for i, c in enumerate(head)}
        for i, c in enumerate(tail):
            self.axes[c] = rank - len(tail) + i
        self.order = head + tail
        self.left = bool(dots) and not head
        self.elided = range(len(head), rank - len(tail)) if dots else range(0)


def parse(equation):
    """`"ab,bc->ac"` as `(["ab", "bc"], "ac")`."""
    inputs, output = equation.replace(" ", "").split("->")
    return inputs.split(","), output


@rulebook.rule("EinsumDense")
def einsum_dense(call):
    labels = _of_equation(call)
    _check_bias(call, labels)
    _product_op(call, call.made(labels))
    return labels


def _check_bias(call, labels):
    """Keeps Keras from adding the bias along another axis."""
    bias, made = call.variable("bias"), call.made(labels)
    if bias is None:
        return
    last, first = made.rank - 1, made.rank - len(bias.shape)
    own = {first + axis for axis, n in enumerate(bias.shape) if n > 1}
    if len(own) != 1 or last in own:
        return
    channels = dict(zip(made.varying, made.axes, strict=True))
    axes = [channels.get(axis, n) for axis, n in enumerate(made.shape)]
    for other in {1, last} - own:
        additions.keep_apart(call, axes[min(own)], axes[other])


def _product_op(call, output):
    """Adds a product of matrices, and a reshape if it makes several axes."""
    (given, kernel), made = parse(call.config["equation"])
    new, work = set(kernel) - set(given), tuple(call.work)
    count = len(made) - len(made.rstrip("".join(new)))
    if count < 2:
        call.file.op(file_op.DENSE, call.x, made=output, work=work)
        return
    joined = (*output.parts[:-count], output.parts[-count:])
    product = file_op.Made(joined)
    product = call.file.op(file_op.DENSE, call.x, made=product, work=work)
    call.file.op("RESHAPE", product, made=output)


def _of_equation(call):
    (given, kernel), made = parse(call.config["equation"])
    call.gain("kernel")
    x, rank = Letters(given, call.x.rank), len(call.output_shapes[0])
    y = Letters(made, rank)
    _know_sizes(call, x, y)
    if x.elided and not x.left:
        _count(call, x, y, kernel, {})
        return call.freeze_all("an equation with an ellipsis at the end")[0]
    varying = {c for c in x.order if x.axes[c] in call.x.varying}
    if any(axis in call.x.varying for axis in x.elided):
        varying.add("...")
    summed = {c for c in x.order if c not in y.axes}
    if varying & summed - set(kernel):
        _count(call, x, y, kernel, {})
        return call.freeze_all("a sum over channels")[0]
    if varying - summed:
        return _passed(call, x, y, kernel, varying)
    reads = [c for c in kernel if c in x.axes and c in summed]
    writes = [c for c in kernel if c not in x.axes]
    used = [c for c in reads if c in varying] or reads[:1]
    bias = call.config["bias_axes"] or ""
    # Constants of the input can move into the bias only if the bias has
    # exactly one value for each output.
    plain = len(kernel) == 2 and bias == "".join(writes)
    known = {c: call.channels(x.axes[c]) for c in used}
    for c in used:
        reading = {"input_axis": x.axes[c], "padded": not plain}
        call.bind("kernel", kernel.index(c), known[c], READS, **reading)
    if not writes:
        _count(call, x, y, kernel, {})
        return call.freeze_all("an equation without new channels")[0]
    new, axis = writes[0], y.axes[writes[0]]
    known[new] = call.fresh(call.output_shapes[0][axis])
    call.bind("kernel", kernel.index(new), known[new], WRITES)
    if new in bias:
        call.bind("bias", bias.index(new), known[new])
    place = y.order.index(new) - (not y.left)
    call.edit(("config", "output_shape", place), known[new])
    _count(call, x, y, kernel, known)
    labels = call.spread(known[new], axis)
    return activation.activate(call, labels)


def count(call):
    """Counts what an `EinsumDense` multiplies, whatever its weights are."""
    (given, kernel), made = parse(call.config["equation"])
    x = Letters(given, call.x.rank)
    y = Letters(made, len(call.output_shapes[0]))
    _know_sizes(call, x, y)
    _count(call, x, y, kernel, {})


def _know_sizes(call, x, y):
    """Fills in sizes that `output_shape=(None, 10)` leaves to the input."""
    sizes = list(call.output_shapes[0])
    pairs = [(y.axes[c], x.axes[c]) for c in y.order if c in x.axes]
    # Where the ellipsis is at the end, its axes may not be as many.
    pairs += zip(y.elided, x.elided, strict=False)
    for made, given in pairs:
        if sizes[made] is None:
            sizes[made] = call.x.shape[given]
    # In place: a wrapper reads the shapes of the layer inside.
    call.output_shapes[0] = tuple(sizes)


def _passed(call, x, y, kernel, varying):
    """The rule where channels lie along letters that are not summed over."""
    labels = call.x.labels
    for c in varying - {"..."}:
        if c not in y.axes:
            labels = call.tie(labels, x.axes[c])
    bias = call.config["bias_axes"] or ""
    known = {}
    for c in varying - {"..."}:
        if c not in y.axes:
            continue
        if c in kernel or c in bias:
            known[c] = call.channels(x.axes[c])
        if c in kernel:
            call.bind("kernel", kernel.index(c), known[c])
        if c in bias:
            call.bind("bias", bias.index(c), known[c])
        place = y.order.index(c) - (not y.left)
        if place >= 0 and call.config["output_shape"][place] is not None:
            along = call.channels(x.axes[c])
            call.edit(("config", "output_shape", place), along)
    _count(call, x, y, kernel, known)
    return activation.activate(call, _moved(labels, x, y))


def _moved(labels, x, y):
    """Labels of the input `x`, transposed to the axes of the output `y`."""
    rank = len(y.elided) + len(y.order)
    order = {y.axes[c]: x.axes[c] for c in y.order if c in x.axes}
    order |= dict(zip(y.elided, x.elided, strict=True))
    dropped = [a for a in range(labels.ndim) if a not in order.values()]
    kept = sorted(order.values())
    moved = labels.squeeze(tuple(dropped))
    moved = moved.transpose([kept.index(order[a]) for a in sorted(order)])
    missing = [a for a in range(rank) if a not in order]
    return np.expand_dims(moved, tuple(missing))


def _count(call, x, y, kernel, known):
    """Records the multiply-adds: the product of the sizes of all letters."""
    sizes = {c: call.x.shape[x.axes[c]] for c in x.order}
    sizes |= {c: call.output_shapes[0][y.axes[c]] for c in y.order}
    batch = x.order[0] if not x.left else None
    rest = [n for c, n in sizes.items() if c not in known and c != batch]
    rest += [call.x.shape[axis] for axis in x.elided if axis]
    call.multiply_adds(math.prod(n or 1 for n in rest), *known.values())


def product(call, equation):
    """Labels of an einsum over tensors and arrays.

    Args:
        call: the `Call`.
        equation: `str` without an ellipsis, with one operand for each tensor
            and each array.

    Returns:
        The label array of the output.
    """
    texts, output = parse(equation)
    pairs = list(zip(texts, _operands(call), strict=True))
    constants = [p for p in pairs if isinstance(p[1], tensor_lib.Constant)]
    pairs = [p for p in pairs if isinstance(p[1], tensor_lib.Tensor)]
    inputs = [text for text, _ in pairs]
    apart = set(output).intersection(*inputs)
    found, sizes = {}, {}
    for text, x in pairs:
        sizes |= dict(zip(text, x.shape, strict=True))
        letters = [text[axis] for axis in x.varying]
        # If the channels include a batch letter of the product (heads), only
        # whole heads can be removed.
        for c in [c for c in letters if c in apart] or letters:
            labels = call.channels(text.index(c), x)
            found.setdefault(c, []).append(labels)
    for text, x in constants:  # One number may stand for all of an axis.
        along = zip(text, x.value.shape, strict=True)
        sizes |= {c: n for c, n in along if n != 1}
    # The first letter is the batch.
    rest = [n for c, n in list(sizes.items())[1:] if c not in found]
    one_of_each = [arrays[0] for arrays in found.values()]
    call.multiply_adds(math.prod(n or 1 for n in rest), *one_of_each)
    halved = False  # Whether only some of the tensors can lose heads.
    for c, arrays in found.items():
        complete = len(arrays) == sum(c in text for text in inputs)
        if c in apart and not complete:
            halved |= any(not call.is_frozen(labels) for labels in arrays)
        if c not in output or not complete:
            for labels in arrays:
                call.freeze_product(labels)
        for labels in arrays[1:]:
            call.join(arrays[0], labels)
    for text, x in constants:
        for axis, c in enumerate(text):
            if c in found and c in output and x.value.shape[axis] != 1:
                call.edit(x.keys, found[c][0], axis)
    kept = [c for c in output if c in found]
    if len(kept) > 1 and halved:  # The others may, too, by another way.
        for arrays in found.values():
            call.freeze_product(arrays[0])
        return call.freeze_all("channels of two tensors cross")[0]
    if len(kept) > 1:
        kept = [_one_of(call, kept, found)]
    if not kept:
        labels = call.fresh(1, "product")
        call.freeze(labels, "a product of tensors")
        return labels.reshape((1,) * len(output))
    labels = tensor_lib.on_axis(
        found[kept[0]][0], len(output), output.index(kept[0])
    )
    call.drive(labels)
    return labels_lib.squeeze(labels)


def _one_of(call, letters, found):
    """The letter of an output whose channels can go: those of others stay."""
    free = [c for c in letters if not any(map(call.is_frozen, found[c]))]
    free = free or letters
    kept = free[-1 - call.way(len(free))]
    for c in letters:
        for labels in found[c] if c != kept else ():
            call.freeze_product(labels)
    call.choose(found[kept][0], len(free))
    return kept


def frozen_product(call, summed, reason):
    """Keeps all channels of a product whose outputs sum `summed` products."""
    made = math.prod(n or 1 for n in call.output_shapes[0][1:])
    call.multiply_adds(made * math.prod(n or 1 for n in summed))
    return call.freeze_all(reason)[0]


@rulebook.rule("ops.Einsum")
def einsum(call):
    equation = call.argument(0, "subscripts")
    spelled = _spelled(call, equation.replace(" ", ""))
    if spelled is None:
        return frozen_product(
            call, _summed(call, equation), f"einsum of {equation!r}"
        )
    call.moves = "," not in spelled
    return product(call, spelled)


def _spelled(call, equation):
    """An equation with a letter for each axis, or `None`."""
    inputs, arrow, output = equation.partition("->")
    inputs, ranks = inputs.split(","), [len(s) for s in _shapes(call)]
    if len(inputs) != len(ranks):
        return None
    if not arrow:  # The output has the letters that stand once.
        once = [c for c in set(equation) - {",", "."} if equation.count(c) == 1]
        output = "..." * ("." in equation) + "".join(sorted(once))
    counts = {
        rank - len(text) + 3
        for text, rank in zip(inputs, ranks, strict=True)
        if "..." in text
    }
    letters = [c for c in string.ascii_letters if c not in equation]
    if len(counts) > 1 or len(letters) < max(counts, default=0):
        return None
    elided = "".join(letters[: max(counts, default=0)])
    texts = [text.replace("...", elided) for text in (*inputs, output)]
    return ",".join(texts[:-1]) + "->" + texts[-1]


def _summed(call, equation):
    """The sizes that an einsum sums over, of any operands and notation."""
    inputs, dots, output = equation.replace(" ", "").partition("->")
    sizes = {}
    for text, shape in zip(inputs.split(","), _shapes(call), strict=False):
        axes = Letters(text, len(shape)).axes
        sizes |= {c: shape[axis] for c, axis in axes.items()}
    if not dots:  # The output has the letters that stand once.
        output = [c for c in sizes if inputs.count(c) == 1]
    return [n for c, n in sizes.items() if c not in output]


def _operands(call):
    """The tensors and arrays that an op is called on."""
    kinds = tensor_lib.Tensor, tensor_lib.Constant
    leaves = keras.tree.flatten((call.args, call.kwargs))
    return [x for x in leaves if isinstance(x, kinds)]


def _shapes(call):
    arrays = [getattr(x, "value", x) for x in _operands(call)]
    return [tuple(x.shape) for x in arrays]


@rulebook.rule("ops.Matmul")
def matmul(call):
    shapes = _shapes(call)
    ranks = {x.rank for x in call.tensors}
    batch = "abcdefgh"[: max(ranks) - 2]
    reason = "a matmul of tensors whose ranks differ"
    if len(shapes) == 2 and len(call.tensors) == 1:
        equation = _by_array(call, batch)
        if equation is not None:
            return product(call, equation)
        reason = "a matmul by an array that spreads the tensor"
    elif len(call.tensors) == 2 and len(ranks) == 1 and min(ranks) > 2:
        if shapes[0][:-2] == shapes[1][:-2]:
            return product(call, f"{batch}xy,{batch}yz->{batch}xz")
        reason = "a matmul that broadcasts a tensor"
    return frozen_product(call, shapes[0][-1:], reason)


def _by_array(call, batch):
    """The equation of a product of a tensor and an array, or `None`."""
    first, second = _operands(call)
    array = second if first is call.x else first
    rank, lead = array.value.ndim, array.value.shape[:-2]
    if call.x.rank == 2 and first is not call.x:
        return None  # It adds up samples.
    if len(lead) > len(batch) or any(
        n not in (1, size)
        for n, size in zip(lead[::-1], call.x.shape[-3::-1], strict=False)
    ):
        return None
    same = batch[len(batch) - len(lead) :]
    if first is call.x:
        return f"{batch}xy,{same}y{'z' * (rank > 1)}->{batch}x" + "z" * (
            rank > 1
        )
    row = "x" * (rank > 1)
    return f"{same}{row}y,{batch}yz->{batch}{row}z"


@rulebook.rule("ops.Dot")
def dot(call):
    """The last axis with the one but last, or with the only one."""
    rank = len(_shapes(call)[-1])
    return _contracted(call, [-1], [max(rank - 2, 0)])


@rulebook.rule("ops.Inner")
def inner(call):
    return _contracted(call, [-1], [-1])


@rulebook.rule("ops.Tensordot")
def tensordot(call):
    axes = call.argument(2, "axes", 2)
    if isinstance(axes, int):
        return _contracted(call, list(range(-axes, 0)), list(range(axes)))
    return _contracted(call, *map(list, axes))


def _contracted(call, first, second):
    """A product of a tensor and an array, summed over pairs of axes.

    Args:
        call: the `Call`.
        first, second: lists of the axes of the two operands.
    """
    shapes = _shapes(call)
    summed = [shapes[0][axis] for axis in first]
    if len(call.tensors) != 1 or _operands(call)[0] is not call.x:
        # The output has the batch of the second one elsewhere, or of both.
        return frozen_product(call, summed, "a product that moves the batch")
    x, array = (list(range(len(shape))) for shape in shapes)
    array = [len(x) + axis for axis in array]
    for a, b in zip(first, second, strict=True):
        array[b] = x[a]
    if x[0] in array:
        return frozen_product(call, summed, "a product that sums samples")
    made = [n for n in x + array if (n in x) != (n in array)]
    texts = (
        "".join(map(string.ascii_letters.__getitem__, t))
        for t in (x, array, made)
    )
    return product(call, "{},{}->{}".format(*texts))
