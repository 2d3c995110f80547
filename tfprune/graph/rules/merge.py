"""Ops on several tensors: broadcasting elementwise ops and concatenation."""

import keras
import numpy as np

from tfprune.graph import labels as labels_lib
from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib
from tfprune.graph.lowering import file_op
from tfprune.graph.rules import additions

OPS = (
    "Subtract Multiply Maximum Minimum "
    "Divide TrueDivide FloorDivide Power Mod Arctan2 Equal NotEqual Greater "
    "GreaterEqual Less LessEqual LogicalAnd LogicalOr LogicalXor Where Hypot "
    "SquaredDifference Logaddexp Logaddexp2 DivideNoNan Fmax Fmin Fmod "
    "Heaviside FullLike Isclose Ldexp Nextafter Select Gcd Lcm "
    "BitwiseAnd BitwiseOr BitwiseXor BitwiseLeftShift BitwiseRightShift "
    "LeftShift RightShift"
).split()


_KINDS = {
    "Add": "ADD",
    "Equal": "EQUAL",
    "Greater": "GREATER",
    "GreaterEqual": "GREATER_EQUAL",
    "Less": "LESS",
    "LessEqual": "LESS_EQUAL",
    "LogicalAnd": "LOGICAL_AND",
    "LogicalOr": "LOGICAL_OR",
    "Maximum": "MAXIMUM",
    "Minimum": "MINIMUM",
    "Multiply": "MUL",
    "NotEqual": "NOT_EQUAL",
    "SquaredDifference": "SQUARED_DIFFERENCE",
    "Subtract": "SUB",
    "Where": "SELECT_V2",
}
_DIVISIONS = ("Divide", "TrueDivide")


def _joined(call, shape, arrays):
    """Joins the labels of operands that broadcast to `shape`.

    `arrays` are pairs `(sizes, labels)` of full rank. An operand of size 1
    along an axis is broadcast to all channels of the others, so it is frozen.
    """
    kept = []
    for sizes, labels in arrays:
        shared = [
            axis
            for axis, n in enumerate(shape)
            if sizes[axis] == 1
            and n != 1
            and any(other.shape[axis] > 1 for _, other in arrays)
        ]
        if shared:
            call.freeze(labels, "one channel that many others use")
        else:
            kept.append(labels)
    if not kept:
        return call.freeze_all("channels of two tensors cross")[0]
    out = kept[0]
    for labels in kept[1:]:
        call.join(out, labels)
        out, _ = np.broadcast_arrays(out, labels)
    if len(kept) < len(arrays):
        call.drive(out)
    return labels_lib.squeeze(np.ascontiguousarray(out))


def _full_rank(x, rank, at):
    """Sizes and labels of `x`, padded to `rank` with axes of size 1 at `at`."""
    missing = rank - x.rank
    sizes = x.shape[:at] + (1,) * missing + x.shape[at:]
    shape = x.labels.shape
    return sizes, x.labels.reshape(shape[:at] + (1,) * missing + shape[at:])


# What merge layers compute pair by pair.
_PAIRWISE = {
    keras.layers.Add: "ADD",
    keras.layers.Average: "ADD",
    keras.layers.Maximum: "MAXIMUM",
    keras.layers.Minimum: "MINIMUM",
    keras.layers.Multiply: "MUL",
    keras.layers.Subtract: "SUB",
}


@rulebook.rule(*(cls.__name__ for cls in _PAIRWISE))
def merge_layer(call):
    # Unlike numpy, Keras merge layers insert missing axes after the batch axis.
    rank = max(x.rank for x in call.tensors)
    arrays = [_full_rank(x, rank, 1) for x in call.tensors]
    labels = _joined(call, call.output_shapes[0], arrays)
    _merge(call, call.made(labels))
    return labels


def _merge(call, output):
    (kind,) = (k for cls, k in _PAIRWISE.items() if isinstance(call.live, cls))
    first, *others = call.tensors
    for other in others:
        made = file_op.like(output)
        first = call.file.op(kind, first, other, made=made)
    if isinstance(call.live, keras.layers.Average):
        call.file.op("MUL", first, scales=True, same=True)


@rulebook.rule(*(f"ops.{name}" for name in OPS))
def elementwise_op(call):
    labels = met(call)
    call.alike = _is_alike(call, labels)
    _op_in_file(call, call.made(labels))
    if len(call.tensors) == 1:
        call.memory = "inplace"
    return labels


def _is_alike(call, labels):
    """Whether the output's channels are alike: those of one tensor are."""
    axes = [axis for axis, n in enumerate(labels.shape) if n > 1]
    arrays = [x for x in _leaves(call) if isinstance(x, tensor_lib.Constant)]
    wide = [x for x in call.tensors if any(x.shape[a] != 1 for a in axes)]
    return not arrays and len(wide) == 1 and wide[0].alike


def _op_in_file(call, made):
    file, kind = call.file, _KINDS.get(call.class_name)
    if len(call.tensors) == 1:
        kind, how = _with_constant(call, kind)
        if kind in ("ADD", "MUL", "SUB"):
            file.op(kind, call.x, made=made, **how)
        elif kind not in (None, "SELECT_V2", "SQUARED_DIFFERENCE"):
            file.op(kind, call.x, made=made)
        else:
            file.look_up(call.x)
    elif call.class_name in _DIVISIONS:
        file.divide(*call.tensors, made)
    elif call.class_name in _COMPOSED:
        _COMPOSED[call.class_name](file, *call.tensors, made)
    else:
        file.op(kind or "ADD", *call.tensors, made=made)


def _divide_no_nan(file, x, divisor, made):
    """Adds a division that chooses zero where the divisor is zero."""
    is_zero = file_op.like(divisor, dtype="bool")
    is_zero = file.op("EQUAL", file.as_float(divisor), made=is_zero)
    ratio = file.divide(x, divisor, file_op.like(made))
    return file.op("SELECT_V2", is_zero, ratio, made=made)


def _mod(file, x, divisor, made):
    """Adds a division with a rest, which is one of floats."""
    pair = [file.as_float(y) for y in (x, divisor)]
    floats = file_op.like(made, dtype="float32")
    rest = file.op("FLOOR_MOD", *pair, made=floats)
    return file.op("QUANTIZE", rest, made=made)


def _fmod(file, x, divisor, made):
    """Adds a rest of absolute values, times the sign of the first."""
    pair = [file.op("ABS", y) for y in (x, divisor)]
    rest = _mod(file, *pair, file_op.like(made))
    file.op("MUL", rest, file.look_up(x), made=made)


def _logaddexp(file, x, y, made):
    """Adds the larger of two and a function of their difference."""
    larger = file.op("MAXIMUM", x, y, made=file_op.like(made))
    both = file.op("ADD", x, y, made=file_op.like(made))
    apart = file.op("SUB", x, y, made=file_op.like(made))
    is_nan = file_op.like(made, dtype="bool")
    is_nan = file.op("NOT_EQUAL", file.as_float(apart), made=is_nan)
    found = file.op("ADD", larger, file.look_up(apart))
    file.op("SELECT_V2", is_nan, both, found, made=made)


def _hypot(file, x, y, made):
    """Adds the larger of two times a function of their ratio."""
    pair = [file.op("ABS", each) for each in (x, y)]
    larger, smaller = (
        file.op(kind, *pair, made=file_op.like(made))
        for kind in ("MAXIMUM", "MINIMUM")
    )
    ratio = _divide_no_nan(file, smaller, larger, file_op.like(made))
    file.op("MUL", larger, file.look_up(ratio), made=made)


# Ops on two tensors that become several ops of a file.
_COMPOSED = {
    "DivideNoNan": _divide_no_nan,
    "Fmod": _fmod,
    "Hypot": _hypot,
    "Logaddexp": _logaddexp,
    "Logaddexp2": _logaddexp,
    "Mod": _mod,
}


def _with_constant(call, kind):
    """The kind of op of a tensor and a constant, and how it scales."""
    first, second = (call.argument(i, f"x{i + 1}") for i in range(2))
    if not isinstance(first, tensor_lib.Tensor):
        # A difference from a constant is no offset.
        return kind, {} if kind == "SUB" else _scale(first)
    if call.class_name in _DIVISIONS:
        kind = "MUL"
    return kind, _scale(second)


def _scale(constant):
    """Whether a constant is a scale, and one for all channels."""
    if isinstance(constant, tensor_lib.Constant):
        constant = constant.value
    sizes = np.shape(constant)
    of_channels = all(n == 1 for n in sizes[:-1])
    return {"scales": of_channels, "same": not sizes}


@rulebook.rule("ops.Add")
def add(call):
    _check_sum(call)
    return elementwise_op(call)


def _check_sum(call):
    """Keeps the channels of a sum that Keras takes for one with a bias."""
    first, second = (call.argument(i, f"x{i + 1}") for i in range(2))
    if isinstance(first, tensor_lib.Tensor) and isinstance(
        second, tensor_lib.Constant
    ):
        if additions.is_elsewhere(second.value.shape, first.shape):
            call.freeze(first.labels, "an array added along another axis")


def met(call):
    """Labels of an output whose elements each come from one of each input."""
    rank = len(call.output_shapes[0])
    if any(x.rank != rank for x in call.tensors):
        return call.freeze_all("tensors of different ranks")[0]
    arrays = [_full_rank(x, rank, 0) for x in call.tensors]
    labels = _joined(call, call.output_shapes[0], arrays)
    for item in _leaves(call):
        if isinstance(item, tensor_lib.Constant):
            _follow(call, item, labels)
    return labels


def _leaves(call):
    return keras.tree.flatten((call.args, call.kwargs))


def _follow(call, constant, labels):
    """Makes an array in the config lose the channels that the tensor loses."""
    rank = labels.ndim
    if constant.value.ndim > rank:
        call.freeze(labels, "an array of higher rank than the tensor")
        return
    for axis, n in enumerate(constant.value.shape):
        at = axis + rank - constant.value.ndim
        if n == 1:
            continue
        if labels.shape[at] == n:
            channels = np.moveaxis(labels, at, -1).reshape(-1, n)
            for row in channels[1:]:
                call.join(channels[0], row)
            call.edit(constant.keys, channels[0], axis)


@rulebook.rule("Concatenate", "ops.Concatenate")
def concatenate(call):
    return _side_by_side(call, call.argument(1, "axis", -1))


@rulebook.rule("ops.Append")
def append(call):
    axis = call.argument(2, "axis")
    if axis is None or axis % call.x.rank == 0:
        return call.freeze_all("a stack of batches or arrays")[0]
    return _side_by_side(call, axis)


@rulebook.rule("ops.Hstack", "ops.Dstack", "ops.Vstack")
def of_one_axis(call):
    axis = {"Hstack": 1, "Dstack": 2, "Vstack": 0}[call.class_name]
    if axis == 0 or call.x.rank <= axis:
        return call.freeze_all("a stack of batches or arrays")[0]
    return _side_by_side(call, axis)


def _side_by_side(call, axis):
    labels = _concatenated(call, axis % call.x.rank)
    made = call.made(labels)
    call.file.op("CONCATENATION", *call.tensors, made=made, axis=axis)
    return labels


def _concatenated(call, axis):
    if any(isinstance(x, tensor_lib.Constant) for x in _leaves(call)):
        return call.freeze_all("an array among tensors")[0]
    varying = {a for x in call.tensors for a in x.varying}
    if varying - {axis} or any(x.shape[axis] is None for x in call.tensors):
        call.alike = all(x.alike for x in call.tensors)
        return _stacked(call, axis, varying)
    call.alike = all(x.alike or not x.varying for x in call.tensors)
    parts = []
    for x in call.tensors:
        sizes = [1] * x.rank
        sizes[axis] = x.shape[axis]
        parts.append(np.broadcast_to(x.labels, sizes))
    return np.concatenate(parts, axis)


@rulebook.rule("ops.Stack", file_ops="PACK")
def stack(call):
    call.moves = True
    axis = call.argument(1, "axis", 0) % len(call.output_shapes[0])
    arrays = any(isinstance(x, tensor_lib.Constant) for x in _leaves(call))
    if axis == 0 or arrays:
        return call.freeze_all("a stack of batches or arrays")[0]
    return np.expand_dims(_widest(call), axis)


def _stacked(call, axis, varying):
    """Concatenation along an axis other than the channel axis."""
    if axis in varying:
        return call.freeze_all("channels of two tensors cross")[0]
    return _widest(call)


def _widest(call):
    """The joined labels of tensors that agree in shape."""
    widest = max((x.labels for x in call.tensors), key=lambda a: a.size)
    for x in call.tensors:
        call.join(widest, x.labels)
    return widest
