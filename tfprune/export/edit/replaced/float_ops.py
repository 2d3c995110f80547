"""Float ops that TFLite Micro lacks, written out by ops that it has."""

import math

import numpy as np

# Powers by multiplications, which take negative numbers, up to this one.
_MOST_PRODUCTS = 16
# Times this, what kernels tell apart from 0 is beyond 1.
_HUGE = 3e38
# Ops by which models keep a divisor from being zero.
_KEPT_UP = "ADD", "MAXIMUM"
# By how much a whole number may be off once it was quantized.
_NEARLY = 1e-6
# What stands for a number that no step is left of, as a share of a step.
_LITTLE = 1e-3
# Steps from one jump to the next that are many.
_MANY = 8
# erf(z) is about 1 - (a t + b t^2 + ...) exp(-z^2) with t = 1 / (1 + p z), to
# 1.5e-7 (Abramowitz and Stegun, 7.1.26).
_P = 0.3275911
_TERMS = 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429
# The cubic of GELU's approximation by tanh.
_CUBIC = 0.044715


class Calls:
    """Float ops before an op.

    Args:
        place: `graph_edits.Place`.
        op: the op.
    """

    def __init__(self, place, op):
        self._place, self._op = place, op

    def of(self, kind, inputs, options="NONE"):
        """The index of the output of a new op."""
        return self._place.insert(
            self._op, kind, options, inputs, like="FLOAT32"
        )

    def number(self, value):
        return self._place.add_floats([value])

    def _pair(self, kind, a, b):
        b = self.number(b) if isinstance(b, float) else b
        return self.of(kind, [a, b], f"{kind.capitalize()}Options")

    def mul(self, a, b):
        return self._pair("MUL", a, b)

    def add(self, a, b):
        return self._pair("ADD", a, b)


def sign(place, op):
    """SIGN becomes a product with a huge number, clipped to [-1, 1].

    Args:
        place: `graph_edits.Place`.
        op: the op, which is replaced if it is of floats.
    """
    (x,) = op.inputs
    if place.type(x) != place.schema.TensorType.FLOAT32:
        return
    kinds = place.schema.ActivationFunctionType
    place.become(
        op,
        "MUL",
        "MulOptions",
        [x, Calls(place, op).number(_HUGE)],
        fusedActivationFunction=kinds.RELU_N1_TO_1,
    )


def gelu(place, op):
    """GELU is written out.

    Args:
        place: `graph_edits.Place`.
        op: the op, which is replaced if it is of floats.
    """
    (x,) = op.inputs
    if place.type(x) == place.schema.TensorType.FLOAT32:
        _as_op(place, op, written_out_gelu(place, op, x))


def written_out_gelu(place, op, x):
    """The index of what a GELU gives, computed in float before it.

    Args:
        place: `graph_edits.Place`.
        op: the op.
        x: `int`, the index of its input in float.
    """
    calls = Calls(place, op)
    if op.builtinOptions.approximate:
        cube = calls.mul(calls.mul(x, x), calls.mul(x, _CUBIC))
        inner = calls.mul(calls.add(x, cube), math.sqrt(2 / math.pi))
        half = calls.mul(x, 0.5)
        return calls.add(half, calls.mul(half, calls.of("TANH", [inner])))
    # x erf(x) is even, so that nothing cancels out where x is negative.
    size = calls.of("ABS", [x], "AbsOptions")
    tail = calls.add(calls.mul(size, _P / math.sqrt(2)), 1.0)
    t = calls.of("DIV", [calls.number(1.0), tail], "DivOptions")
    rest = calls.mul(t, _TERMS[-1])
    for term in reversed(_TERMS[:-1]):
        rest = calls.mul(calls.add(rest, term), t)
    bell = calls.mul(calls.mul(x, x), -0.5)
    bell = calls.of("EXP", [bell], "ExpOptions")
    rest = calls.mul(calls.mul(rest, bell), calls.mul(size, -0.5))
    return calls.add(calls.of("RELU", [x]), rest)


def quotient(place, op):
    """DIV of int8 is computed in float.

    The kernels of TFLite give a limit of the range where what is divided is one
    step below zero, and stop or worse where the divisor is within half a step
    of zero.

    A little number that keeps the divisor from being zero in the model, but is
    less than half a step of it, is added once more: 0 / 0 is no number. So it
    is in float between ops of int16.

    Args:
        place: `graph_edits.Place`.
        op: the op, which is replaced if it is of int8.
    """
    least = _lost_least(place, op.inputs[1])
    if least and place.type(op.inputs[1]) == place.schema.TensorType.FLOAT32:
        divisor = Calls(place, op).add(op.inputs[1], least)
        op.inputs = [op.inputs[0], divisor]
    if place.type(op.outputs[0]) != place.schema.TensorType.INT8:
        return
    calls, options = Calls(place, op), op.builtinOptions
    pair = [place.dequantize(op, index) for index in op.inputs]
    if least:
        pair[1] = calls.add(pair[1], least)
    made = calls.of("DIV", pair, "DivOptions")
    place.maker(made).builtinOptions = options
    if not place.is_constant(pair[1]):
        # TFLite Micro would make infinity the lowest integer.
        scale, zero = place.steps(op.outputs[0])
        highest = calls.number((127 - zero) * scale)
        made = calls.of("MINIMUM", [made, highest], "MaximumMinimumOptions")
    place.become(op, "QUANTIZE", "QuantizeOptions", [made])


def _lost_least(place, index):
    """The constant in a sum or maximum of which no step is left; 0 if none."""
    maker = place.maker(index)
    while maker is not None and place.kind(maker) in ("DEQUANTIZE", "QUANTIZE"):
        index = maker.inputs[0]
        maker = place.maker(index)
    steps = place.steps(index)
    if maker is None or steps is None or place.kind(maker) not in _KEPT_UP:
        return 0.0
    for added in maker.inputs:
        values = place.real(added)
        if values is not None and values.size == 1:
            if 0 < abs(values[0]) < steps[0] / 2:
                return float(values[0])
            if not values[0] and place.kind(maker) == "MAXIMUM":
                # It has the steps of the maximum itself, and was rounded off.
                return steps[0] * _LITTLE
    return 0.0


def power(place, op):
    """POW with constant exponents becomes products, or exp(p log(x)).

    That of a positive constant becomes exp(x log(b)).

    Args:
        place: `graph_edits.Place`.
        op: the op, which is replaced if it is of floats.
    """
    if place.type(op.outputs[0]) != place.schema.TensorType.FLOAT32:
        return
    op.inputs = x, exponent = [_folded(place, index) for index in op.inputs]
    calls = Calls(place, op)
    if place.is_constant(x):
        base = _floats(place, x)
        if (base > 0).all():
            log = place.add_floats(np.log(base).reshape(place.shape(x)))
            place.become(op, "EXP", "ExpOptions", [calls.mul(exponent, log)])
        return
    if not place.is_constant(exponent):
        return
    values = _floats(place, exponent)
    whole = values == np.rint(values)
    if not whole.any():
        log = calls.of("LOG", [x])
        made = calls.mul(log, exponent)
        place.become(op, "EXP", "ExpOptions", [made])
    elif values.size == 1 and 1 < abs(values[0]) <= _MOST_PRODUCTS:
        _products(place, op, calls, x, int(values[0]))


def jumps(place, op):
    """FLOOR, CEIL, FLOOR_DIV and FLOOR_MOD count what nearly is a jump as one.

    A whole number is stored as a little less or more than it is. In int8,
    FLOOR and CEIL are in tables.

    Args:
        place: `graph_edits.Place`.
        op: the op, which is moved by a step of what was dequantized before it.
    """
    found, kind = _dequantized(place, op), place.kind(op)
    if found is None:
        return
    _, (step, _), wide = found
    divides = len(op.inputs) > 1
    if not (divides or wide) or (
        divides and not _is_fine(place, op.inputs[1], step)
    ):
        return
    slack = _slack(step, wide)
    calls = Calls(place, op)
    moved = calls.add(op.inputs[0], -slack if kind == "CEIL" else slack)
    op.inputs = [moved, *op.inputs[1:]]
    if kind == "FLOOR_MOD":
        made = place.repeat(op, op.inputs, place.shape(op.outputs[0]))
        pair = [made, calls.number(-slack)]
        place.become(op, "ADD", "AddOptions", pair)


def truncation(place, op):
    """CAST to integers counts what nearly is a whole number as one.

    Args:
        place: `graph_edits.Place`.
        op: the op, as for `jumps`.
    """
    found, types = _dequantized(place, op), place.schema.TensorType
    if found is None or place.type(op.outputs[0]) not in (
        types.INT32,
        types.INT64,
    ):
        return
    source, (step, _), wide = found
    # Of few steps, a whole number may lie between two that are exact.
    if not wide and _MANY * step > 1 and place.maker(source) is not None:
        return
    calls, kinds = Calls(place, op), place.schema.ActivationFunctionType
    (x,) = op.inputs
    side = calls.mul(x, _HUGE)
    clipped = place.maker(side).builtinOptions
    clipped.fusedActivationFunction = kinds.RELU_N1_TO_1
    op.inputs = [calls.add(x, calls.mul(side, _slack(step, wide)))]


def _dequantized(place, op):
    """What an op reads in float: `(tensor, steps, whether it is int16)`."""
    before = place.maker(op.inputs[0])
    if before is None or place.kind(before) != "DEQUANTIZE":
        return None
    source, types = int(before.inputs[0]), place.schema.TensorType
    steps, kind = place.steps(source), place.type(source)
    if steps is None or kind not in (types.INT8, types.INT16):
        return None
    return source, steps, kind == types.INT16


def _slack(step, wide):
    """By how much a whole number may be off."""
    # What is computed before it may be off by more than half a step.
    return step if wide else step * (0.5 + _LITTLE)


def _is_fine(place, divisor, step):
    """Whether divisors are whole numbers, or far above a step; above 0."""
    if (
        not place.is_constant(divisor)
        or place.type(divisor) != place.schema.TensorType.FLOAT32
    ):
        return False
    values = _floats(place, divisor)
    whole = values == np.rint(values)
    return bool(((values > 0) & (whole | (values >= _MANY * step))).all())


def _folded(place, index):
    """A tensor; in float if it is a constant that is dequantized.

    That is one which an op of integers reads, too.
    """
    maker = place.maker(index)
    if maker is None or place.kind(maker) != "DEQUANTIZE":
        return index
    values = place.real(maker.inputs[0])
    if values is None:
        return index
    whole = np.rint(values)
    values = np.where(np.abs(values - whole) < _NEARLY, whole, values)
    return place.add_floats(values.reshape(place.shape(index)))


def _products(place, op, calls, x, count):
    """POW becomes products of x, by the bits of the exponent."""
    factors = []
    for bit in range(abs(count).bit_length()):
        if bit:
            x = calls.mul(x, x)
        if abs(count) >> bit & 1:
            factors.append(x)
    while len(factors) > 2 or (count < 0 and len(factors) > 1):
        factors[:2] = [calls.mul(*factors[:2])]
    if count < 0:
        pair = [calls.number(1.0), *factors]
        place.become(op, "DIV", "DivOptions", pair)
    elif len(factors) == 2:
        place.become(op, "MUL", "MulOptions", factors)
    else:
        _as_op(place, op, factors[0])


def _as_op(place, op, made):
    """Lets an op be the sum or product that was made before it."""
    last = place.maker(made)
    place.graph.operators.remove(last)
    kind = place.kind(last)
    place.become(op, kind, f"{kind.capitalize()}Options", last.inputs)


def _floats(place, index):
    data = place.model.buffers[place.graph.tensors[index].buffer].data
    return np.frombuffer(bytes(data), "<f4")
