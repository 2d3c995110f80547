"""Float ops that TFLite Micro lacks, written out by ops that it has."""

import numpy as np

# Powers by multiplications, which take negative numbers, up to this one.
_MOST_PRODUCTS = 16
# Times this, what kernels tell apart from 0 is beyond 1.
_HUGE = 3e38


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


def power(place, op):
    """POW with constant exponents becomes products, or exp(p log(x)).

    Args:
        place: `graph_edits.Place`.
        op: the op, which is replaced if it is of floats.
    """
    x, exponent = op.inputs
    real = place.schema.TensorType.FLOAT32
    if place.type(x) != real or not place.is_constant(exponent):
        return
    data = place.model.buffers[place.graph.tensors[exponent].buffer].data
    values = np.frombuffer(bytes(data), "<f4")
    whole = values == np.rint(values)
    calls = Calls(place, op)
    if not whole.any():
        log = calls.of("LOG", [x])
        made = calls.mul(log, exponent)
        place.become(op, "EXP", "ExpOptions", [made])
    elif values.size == 1 and 1 < abs(values[0]) <= _MOST_PRODUCTS:
        _products(place, op, calls, x, int(values[0]))


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
        _last_product(place, op, factors[0])


def _last_product(place, op, made):
    """The last product of a power of two writes the output of `op`."""
    last = place.maker(made)
    place.graph.operators.remove(last)
    place.become(op, "MUL", "MulOptions", last.inputs)
