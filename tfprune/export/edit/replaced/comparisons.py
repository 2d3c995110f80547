"""Comparisons of quantized tensors: EQUAL, GREATER and their kind.

The converter compares dequantized values. What is equal in the model need not
be equal there, since each tensor is rounded to steps of its own.
"""

import numpy as np

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
    suit_kernel(place, op)


def suit_kernel(place, op):
    """Compares in float what the kernels of int8 cannot.

    They count in units of 1 / 256, whatever the scales are: finer steps become
    equal. A scale of 1 or more stops them.
    """
    steps = [place.steps(index) for index in op.inputs]
    kinds = {place.type(index) for index in op.inputs}
    if None in steps or kinds != {place.schema.TensorType.INT8}:
        return
    if any(not _UNIT <= scale < 1.0 for scale, _ in steps):
        op.inputs = [place.dequantize(op, index) for index in op.inputs]


def _equal(place, op):
    if not any(map(place.is_constant, op.inputs)):
        _within_a_step(place, op)
        return
    for one, other in (op.inputs, op.inputs[::-1]):
        before = place.maker(one)
        if (
            before is None
            or place.kind(before) != "DEQUANTIZE"
            or not place.is_constant(other)
            or place.type(other) != place.schema.TensorType.FLOAT32
        ):
            continue
        source = before.inputs[0]
        steps = place.steps(source)
        if steps is None:
            continue
        data = bytes(
            place.model.buffers[place.graph.tensors[other].buffer].data
        )
        values = np.frombuffer(data, "<f4")
        if values.size == 1 and place.represents(values, source):
            value = place.add_steps(values, steps, like=source)
            if place.type(source) == place.schema.TensorType.INT16:
                # There is no kernel of int16.
                op.inputs = [one, place.add_floats(place.real(value))]
            else:
                op.inputs = [source, value]
            return
    for one, other in (op.inputs, op.inputs[::-1]):
        values, steps = place.real(other), place.steps(one)
        if values is not None and steps is not None:
            stored = values / steps[0]
            if np.abs(stored - np.rint(stored)).max() > _ROUNDED:
                _within_a_step(place, op)
                return


def _within_a_step(place, op):
    """Tensors of two scales are equal if they differ by less than a step.

    What is equal in the model is rounded to other values in each.
    """
    types = place.schema.TensorType
    sources = []
    for index in op.inputs:
        before = place.maker(index)
        if before is not None and place.kind(before) == "DEQUANTIZE":
            index = before.inputs[0]
        sources.append(int(index))
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
