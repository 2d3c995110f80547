"""Products of tensors and arrays: einsum, matmul, dot, inner, tensordot.

Channels along a letter that every operand with channels has pass on. Those
that a product sums over stay, because other channels meet them there.
"""

import math
import string

import keras

from tfprune.graph import labels as labels_lib
from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib
from tfprune.graph.lowering import file_op
from tfprune.graph.rules import einsum


def product(call, equation):
    """Labels of an einsum over tensors and arrays.

    Args:
        call: the `Call`.
        equation: `str` without an ellipsis, with one operand for each tensor
            and each array.

    Returns:
        The label array of the output.
    """
    labels = _labels(call, equation)
    texts, output = einsum.parse(equation)
    if len(texts) == 2 and len(call.tensors) == 1:
        place = _operands(call).index(call.x)
        _turned(call, texts[place], output, call.made(labels))
    return labels


def _turned(call, text, output, made):
    """Adds a dense layer, around which axes are moved to where it has them."""
    summed = [c for c in text if c not in output]
    kept = [c for c in text if c in output]
    new = [c for c in output if c not in text]
    if not summed:
        return  # Not a product of matrices.
    x, file = call.x, call.file
    if call.class_name == "Matmul" and _operands(call)[0] is not x:
        file.op("BATCH_MATMUL", x, made=made, work=tuple(call.work))
        return
    if [*text] != kept + summed:
        x = file.op("TRANSPOSE", x)
    is_last = [*output] == kept + new
    product = made if is_last else file_op.like(made)
    product = file.op(file_op.DENSE, x, made=product, work=tuple(call.work))
    if not is_last:
        file.op("TRANSPOSE", product, made=made)


def _labels(call, equation):
    texts, output = einsum.parse(equation)
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
def by_equation(call):
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
        axes = einsum.Letters(text, len(shape)).axes
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
