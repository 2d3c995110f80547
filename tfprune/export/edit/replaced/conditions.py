"""Choices and conditions: SELECT, ONE_HOT, REDUCE_ANY and their kind.

Each rule takes a `graph_edits.Place` and the op, which it replaces in place.
"""

import numpy as np


def select(place, op):
    """SELECT becomes SELECT_V2, which also broadcasts."""
    condition, first, _ = op.inputs
    if place.shape(condition) == place.shape(first):
        place.become(op, "SELECT_V2", "SelectV2Options", op.inputs)
        select_integers(place, op)


def select_integers(place, op):
    """SELECT_V2 of int32 becomes second + condition * (first - second).

    Every Keras look-up contains one, since indices may be negative.
    """
    condition, first, second = op.inputs
    if place.type(op.outputs[0]) != place.schema.TensorType.INT32:
        return
    gap = place.insert(op, "SUB", "SubOptions", [first, second])
    chosen = place.insert(op, "CAST", "CastOptions", [condition])
    added = place.insert(op, "MUL", "MulOptions", [chosen, gap])
    place.become(op, "ADD", "AddOptions", [second, added])


def one_hot(place, op):
    """ONE_HOT becomes a comparison of each index with 0, 1, 2, ..."""
    _values_of_the_output(place, op)
    positions, depth, on, off = op.inputs
    count = place.constant(depth)
    made = op.outputs[0]
    if count is None:
        return
    int32 = place.schema.TensorType.INT32
    before = place.maker(positions)
    if before is not None and place.kind(before) == "CAST":
        if place.type(before.inputs[0]) == int32:
            # Keras casts indices to int64, which EQUAL does not accept.
            positions = before.inputs[0]
    if place.type(positions) != int32:
        shape = place.shape(positions)
        positions = place.insert(op, "CAST", "CastOptions", [positions], shape)
    axis = op.builtinOptions.axis % len(place.shape(made))
    shape = list(place.shape(positions))
    shape.insert(axis, 1)
    row = [1] * len(shape)
    row[axis] = int(count)
    column = place.reshape(op, positions, shape)
    places = place.add_constant(np.arange(int(count)).reshape(row))
    hit = place.insert(
        op, "EQUAL", "EqualOptions", [column, places], like="BOOL"
    )
    if place.type(made) == int32:
        gap = place.insert(op, "SUB", "SubOptions", [on, off])
        chosen = place.insert(op, "CAST", "CastOptions", [hit])
        added = place.insert(op, "MUL", "MulOptions", [chosen, gap])
        place.become(op, "ADD", "AddOptions", [off, added])
    else:
        place.become(op, "SELECT_V2", "SelectV2Options", [hit, on, off])


def _values_of_the_output(place, op):
    """Requantizes the on and off values of ONE_HOT to the output's scale.

    The kernel copies them as stored, but the converter gives each value a scale
    of its own, so that the stored "off" need not stand for zero.
    """
    steps = place.steps(op.outputs[0])
    if steps is None:
        return
    positions, depth, *both = op.inputs
    for i, index in enumerate(both):
        values = place.real(index)
        if values is None:
            return
        both[i] = place.add_steps(values, steps, like=op.outputs[0])
    op.inputs = [positions, depth, *both]


def any_or_all(place, op):
    """REDUCE_ANY and REDUCE_ALL become REDUCE_MAX and REDUCE_MIN."""
    x, axes = op.inputs
    made = op.outputs[0]
    shape = place.shape(made)
    numbers = place.insert(
        op, "CAST", "CastOptions", [x], place.shape(x), "FLOAT32"
    )
    some = place.kind(op) == "REDUCE_ANY"
    kept = op.builtinOptions.keepDims
    most = place.insert(
        op,
        "REDUCE_MAX" if some else "REDUCE_MIN",
        "ReducerOptions",
        [numbers, axes],
        shape,
        "FLOAT32",
        keepDims=kept,
    )
    zero = place.add_floats(np.zeros(()))
    place.become(op, "NOT_EQUAL", "NotEqualOptions", [most, zero])
