"""Comparisons of quantized tensors: EQUAL, GREATER and their kind.

The converter compares dequantized values, or constants of steps of their own.
What is equal in the model need not be equal there, since each tensor is rounded
to other steps.
"""

import numpy as np

KINDS = {
    "EQUAL",
    "GREATER",
    "GREATER_EQUAL",
    "LESS",
    "LESS_EQUAL",
    "NOT_EQUAL",
}
# By how much of a step an equal constant may be off.
_ROUNDED = 1e-3
# What kernels of int8 count in.
_UNIT = 1 / 256


def as_stored(place, op):
    """EQUAL and NOT_EQUAL with a constant compare the stored integers.

    The converter dequantizes first. A constant that is not a multiple of the
    scale would then equal no element, so it is rounded to one here. A constant
    beyond the tensor's range indeed equals none and stays as it is. Two tensors
    of different scales are compared within a step; so is a constant that the
    converter has quantized, if it lies between two steps of the tensor.
    """
    _equal(place, op)
    _suit_kernel(place, op)


def in_order(place, op):
    """GREATER, LESS and their kind compare with a stored integer, too.

    A whole number may be stored as a little less than it is. It would then be
    below a constant that it equals.
    """
    for one, other in (op.inputs, op.inputs[::-1]):
        if place.is_constant(other) and _round(place, op, one, other):
            break
    _suit_kernel(place, op)


def _equal(place, op):
    if not any(map(place.is_constant, op.inputs)):
        _within_a_step(place, op)
        return
    for one, other in (op.inputs, op.inputs[::-1]):
        before = place.maker(one)
        if (
            before is not None
            and place.kind(before) == "DEQUANTIZE"
            and place.is_constant(other)
            and place.type(other) == place.schema.TensorType.FLOAT32
            and _round(place, op, one, other)
        ):
            return
    for one, other in (op.inputs, op.inputs[::-1]):
        values, steps = place.real(other), place.steps(one)
        if values is not None and steps is not None:
            stored = values / steps[0]
            if np.abs(stored - np.rint(stored)).max() > _ROUNDED:
                _within_a_step(place, op)
                return


def _round(place, op, one, other):
    """Rounds a constant to the steps of what it is compared with.

    Args:
        place: `graph_edits.Place`.
        op: the comparison.
        one: `int`, the computed input, dequantized or not.
        other: `int`, the constant.

    Returns:
        Whether it did; not if all of the constant is beyond the range.
    """
    types = place.schema.TensorType
    source = _stored(place, one)
    steps, values = place.steps(source), _reals(place, other)
    if (
        steps is None
        or values is None
        or place.is_constant(source)
        or place.type(source) not in (types.INT8, types.INT16)
    ):
        return False
    rounded = _nearest(values / steps[0], _toward(place, op, other)) * steps[0]
    fits = np.array([place.represents(value, source) for value in rounded])
    if not fits.any():
        return False
    shape = place.shape(other)
    suits = place.type(source) == types.INT8 and _suits(steps)
    if suits and fits.all():
        pair = source, place.add_steps(rounded, steps, source, shape)
    else:
        # Others are beyond the range, or of int16, which has no kernel.
        numbers = np.where(fits, rounded, values).reshape(shape)
        real = place.type(one) == types.FLOAT32
        source = one if real else place.dequantize(op, one)
        pair = source, place.add_floats(numbers)
    op.inputs = [pair[0] if index == one else pair[1] for index in op.inputs]
    return True


def _toward(place, op, other):
    """Where a constant between two steps goes: 1 is up, -1 down, 0 to even.

    What it equals may be stored as either.
    """
    kind = place.kind(op)
    up = {"GREATER": 1, "LESS_EQUAL": 1, "GREATER_EQUAL": -1, "LESS": -1}
    return up.get(kind, 0) * (1 if op.inputs[1] == other else -1)


def _nearest(steps, toward):
    """The nearest whole numbers."""
    if not toward:
        return np.rint(steps)
    return toward * np.floor(toward * steps + 0.5 + _ROUNDED)


def _reals(place, index):
    """The real values of a constant, one after the other, or `None`."""
    if place.type(index) != place.schema.TensorType.FLOAT32:
        return place.real(index)
    data = place.model.buffers[place.graph.tensors[index].buffer].data
    return np.frombuffer(bytes(data), "<f4").astype(float)


def _stored(place, index):
    """What a tensor was before it was dequantized."""
    before = place.maker(index)
    if before is not None and place.kind(before) == "DEQUANTIZE":
        index = before.inputs[0]
    return int(index)


def _suit_kernel(place, op):
    """Compares in float what the kernels of int8 cannot.

    They count in units of 1 / 256, whatever the scales are: finer steps become
    equal. A scale of 1 or more stops them.
    """
    steps = [place.steps(index) for index in op.inputs]
    kinds = {place.type(index) for index in op.inputs}
    if None in steps or kinds != {place.schema.TensorType.INT8}:
        return
    if not all(map(_suits, steps)):
        op.inputs = [place.dequantize(op, index) for index in op.inputs]


def _suits(steps):
    return _UNIT <= steps[0] < 1.0


def _within_a_step(place, op):
    """Tensors of two scales are equal if they differ by less than a step.

    What is equal in the model is rounded to other values in each.
    """
    types = place.schema.TensorType
    sources = [_stored(place, index) for index in op.inputs]
    kinds = {place.type(index) for index in sources}
    steps = [place.steps(index) for index in sources]
    if len(kinds) > 1 or not kinds <= {types.INT8, types.INT16}:
        return
    if None in steps or steps[0] == steps[1]:
        return
    gap = place.insert(
        op,
        "SUB",
        "SubOptions",
        sources,
        place.shape(op.outputs[0]),
        sources[0],
        potScaleInt16=False,
    )
    # It rounds to 0 what is less than half of its own step.
    both = place.schema.QuantizationParametersT()
    both.scale, both.zeroPoint = [2 * max(scale for scale, _ in steps)], [0]
    place.graph.tensors[gap].quantization = both
    if kinds == {types.INT8}:
        zero = place.add_steps(np.zeros(1), place.steps(gap), like=sources[0])
        place.graph.tensors[zero].quantization = both
    else:  # There is no kernel of int16.
        gap = place.dequantize(op, gap)
        zero = place.add_floats([0.0])
    op.inputs = [gap, zero]
