"""Ops that a runtime has no kernel for, in terms of those that it has.

The converter has TFLite in mind, TFLite Micro knows fewer ops. Each rule takes
an op and changes it in place where another one computes the same.
"""

import numpy as np

from tfprune.core import packages
from tfprune.export.edit import graph_edits
from tfprune.export.file import packing

# TFLite Micro joins so many tensors at most.
_MOST_JOINED = 10


def substitute(model):
    """Replaces ops in all graphs of a model.

    Args:
        model: `ModelT`, as `packing.unpacked` returns it; changed in place.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    kinds = schema.BuiltinOperator
    rules = {
        kinds.SELECT: _select,
        kinds.SELECT_V2: _select_integers,
        kinds.TILE: _tile,
        kinds.GATHER: _narrow_positions,
        kinds.GATHER_ND: _narrow_positions,
        kinds.DEPTH_TO_SPACE: _known_version,
        kinds.ONE_HOT: _values_of_the_output,
    }
    for graph in model.subgraphs:
        place = graph_edits.Place(schema, model, graph)
        for op in tuple(graph.operators):
            code = model.operatorCodes[op.opcodeIndex]
            rule = rules.get(max(code.builtinCode, code.deprecatedBuiltinCode))
            if rule:
                rule(place, op)
    packing.sweep(model)


def _select(place, op):
    """Choices element by element: SELECT_V2, which also broadcasts."""
    condition, first, _ = op.inputs
    if place.shape(condition) == place.shape(first):
        place.become(op, "SELECT_V2", "SelectV2Options", op.inputs)
        _select_integers(place, op)


def _select_integers(place, op):
    """Choices between int32: second + condition * (first - second).

    Keras makes one of every look-up, since positions may be negative.
    """
    condition, first, second = op.inputs
    if place.type(op.outputs[0]) != place.schema.TensorType.INT32:
        return
    gap = place.insert(op, "SUB", "SubOptions", [first, second])
    chosen = place.insert(op, "CAST", "CastOptions", [condition])
    added = place.insert(op, "MUL", "MulOptions", [chosen, gap])
    place.become(op, "ADD", "AddOptions", [second, added])


def _tile(place, op):
    """Copies along an axis: broadcast one channel, join several."""
    x, counts = op.inputs
    times = place.constant(counts)
    if times is None:
        return
    before, after = place.shape(x), place.shape(op.outputs[0])
    axes = np.flatnonzero(times != 1)
    if all(before[axis] == 1 for axis in axes):
        shape = place.add_constant(np.array(after))
        place.become(
            op, "BROADCAST_TO", "BroadcastToOptions", [x, shape], version=2
        )
    elif len(axes) == 1 and times[axes[0]] <= _MOST_JOINED:
        place.become(
            op,
            "CONCATENATION",
            "ConcatenationOptions",
            [x] * times[axes[0]],
            axis=int(axes[0]),
        )


def _narrow_positions(place, op):
    """Constant positions: 32 bits instead of 64."""
    x, positions = op.inputs
    values = place.constant(positions)
    if values is not None and values.itemsize == 8:
        op.inputs = [x, place.add_constant(values)]


def _known_version(place, op):
    """Version 2 allows int8; LiteRT's plain kernels have it as version 1."""
    place.model.operatorCodes[op.opcodeIndex].version = 1


def _values_of_the_output(place, op):
    """Both values on the scale of the output, into which they are copied.

    The converter gives each a scale of its own, on which "off" is no zero.
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
