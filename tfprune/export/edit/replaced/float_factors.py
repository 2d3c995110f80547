"""Factors of a wide range, such as 1 / sqrt(variance), computed in float.

A normalization multiplies each sample by a factor of its own. One quiet sample,
or one of zeros, has a factor that is far above those of all others, which then
share the few integer steps that are left: their outputs are wrong. So all ops
from the normalization's input to its output are computed in float, if the steps
of the factor are coarser than those of the output.
"""

# What a step of a factor may change, in steps of the output.
_MOST_STEPS = {"INT8": 4, "INT16": 16}
_LARGEST = {"INT8": 128, "INT16": 32768}
_COPIES = "QUANTIZE", "DEQUANTIZE"
# By what a factor stays one, and what then is normalized by it.
_OF_FACTORS = "NEG", "MAXIMUM", "MINIMUM", "RESHAPE"
_OF_ALL = "MUL", "ADD", "SUB", *_COPIES
# What is between a factor and the sums that it is computed from.
_OF_SUMS = "ADD", "MUL", "MAXIMUM", "MINIMUM", "RESHAPE", *_COPIES
_SUMS = "MEAN", "SUM"


def repair(place):
    """Computes normalizations in float whose factors have too few steps.

    Args:
        place: `graph_edits.Place`, whose graph is changed in place.
    """
    for op in tuple(place.graph.operators):
        kind = place.kind(op)
        inverse = kind == "DIV" and place.is_constant(op.inputs[0])
        if not inverse and kind != "RSQRT":
            continue
        after, products = _onward(place, op)
        if any(_is_coarse(place, after, *product) for product in products):
            _convert(place, [*_back(place, op.inputs[-1]), op, *after])


def _computed(place, op):
    """The inputs of an op that are computed."""
    return [index for index in op.inputs if not place.is_constant(index)]


def _onward(place, begin):
    """What is computed from a factor.

    Args:
        place: `graph_edits.Place`.
        begin: the op that computes the factor.

    Returns:
        The list of ops, and the list of `(factor, other)`, the tensors that are
        multiplied.
    """
    factors, known = set(begin.outputs), set(begin.outputs)
    ops, products = [], []
    for op in place.graph.operators:
        read = _computed(place, op)
        others = [index for index in read if index not in known]
        if len(others) == len(read):
            continue
        kind = place.kind(op)
        scaled = not others and factors.issuperset(read)
        if scaled and kind in (*_OF_FACTORS, *_OF_ALL):
            factors.update(op.outputs)
        elif kind == "MUL" and len(others) == 1 and factors & set(read):
            (factor,) = factors & set(read)
            products.append((factor, others[0]))
        elif others or kind not in _OF_ALL:
            continue
        known.update(op.outputs)
        ops.append(op)
    return ops, products


def _is_coarse(place, ops, factor, other):
    """Whether a factor has too few steps for what comes out of the ops."""
    kinds = place.schema.TensorType
    ends = {
        index
        for op in ops
        for index in op.outputs
        if _is_read_outside(place, index, ops)
    }
    steps = [place.steps(index) for index in (factor, other, *ends)]
    if None in steps[:2] or not any(steps[2:]):
        return False
    (finest, _), (scale, zero), *found = steps
    widest = max(end[0] for end in found if end is not None)
    for name, most in _MOST_STEPS.items():
        if place.type(other) == getattr(kinds, name):
            largest = scale * (_LARGEST[name] + abs(zero))
            return finest * largest > most * widest
    return False


def _is_read_outside(place, index, ops):
    readers = place.readers(index)
    inside = all(any(op is one for one in ops) for op in readers)
    return not inside or index in place.graph.outputs


def _back(place, index):
    """The ops from the input of a normalization to its sum of squares."""
    op = place.maker(index)
    if op is None:
        return []
    kind, read = place.kind(op), _computed(place, op)
    if kind in _SUMS:
        return [*_squares(place, op.inputs[0]), op]
    if kind in _OF_SUMS and len(read) == 1:
        return [*_back(place, read[0]), op]
    return []


def _squares(place, index):
    """The ops that square what a sum adds up, and take the mean from it."""
    op = place.maker(index)
    if op is None:
        return []
    kind = place.kind(op)
    if kind in _COPIES or kind in ("SQUARE", "ABS"):
        return [*_squares(place, op.inputs[0]), op]
    if kind == "MUL" and len(set(op.inputs)) == 1:
        return [*_squares(place, op.inputs[0]), op]
    if kind in ("SQUARED_DIFFERENCE", "SUB"):
        x, mean = op.inputs
        before = place.maker(mean)
        if before is not None and place.kind(before) == "MEAN":
            if before.inputs[0] == x:
                return [before, op]
    return []


def _convert(place, ops):
    """Computes ops in float, from where they read to where others read."""
    ops = _apart(place, ops)
    order = {id(op): i for i, op in enumerate(place.graph.operators)}
    floats = {}
    for op in sorted(ops, key=lambda op: order[id(op)]):
        inputs = [_float(place, op, index, floats) for index in op.inputs]
        (made,) = op.outputs
        if place.kind(op) in _COPIES:
            (new,) = inputs
        elif place.steps(made) is None:
            op.inputs, floats[made] = inputs, made
            continue
        else:
            new = place.repeat(op, inputs, place.shape(made))
            place.graph.tensors[new].type = place.schema.TensorType.FLOAT32
            place.graph.tensors[new].quantization = None
        floats[made] = new
        if _is_read_outside(place, made, ops):
            place.become(op, "QUANTIZE", "QuantizeOptions", [new])
        else:
            place.graph.operators.remove(op)


def _apart(place, ops):
    """Ops, each one once, without those that others read in float as well."""
    ops = list({id(op): op for op in ops}.values())
    kept = [
        op
        for op in ops
        if place.kind(op) != "DEQUANTIZE"
        or not _is_read_outside(place, op.outputs[0], ops)
    ]
    return kept if len(kept) == len(ops) else _apart(place, kept)


def _float(place, op, index, floats):
    """A tensor in float; it is dequantized before the op if it must be."""
    if index in floats or place.steps(index) is None:
        return floats.get(index, index)
    floats[index] = place.dequantize(op, index)
    return floats[index]
