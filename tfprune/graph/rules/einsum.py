"""EinsumDense: a kernel and an equation.

A letter that stands in the input and in the kernel but not in the output is
summed over: the kernel reads those channels. A letter that stands in the
kernel and in the output but not in the input is new: the kernel writes them.
All other letters pass channels on.
"""

import math

import numpy as np

from tfprune.graph import call as call_lib
from tfprune.graph import rulebook
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
