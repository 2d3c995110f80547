"""Scales of the op UNIDIRECTIONAL_SEQUENCE_LSTM, as its kernels want them.

The kernels write states and outputs on one scale, while the converter brings
the output alone to that of what reads it (a concatenation, say). And TFLite has
no table for cell states on finer steps than 2 ** -15.
"""

import copy

import numpy as np

from tfprune.core import packages
from tfprune.export.edit import graph_edits

_HIDDEN, _CELL, _EFFECTIVE = 18, 19, 4
_FINEST = 2.0**-15


def repair(model):
    """Makes the scales of each such op agree.

    Args:
        model: `ModelT`, as `packing.unpacked` returns it; changed in place.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    for graph in model.subgraphs:
        place = graph_edits.Place(schema, model, graph)
        for op in tuple(graph.operators):
            if place.kind(op) == "UNIDIRECTIONAL_SEQUENCE_LSTM":
                _repair(place, op)


def _repair(place, op):
    tensors = place.graph.tensors
    hidden, made = op.inputs[_HIDDEN], op.outputs[0]
    if place.type(made) != place.schema.TensorType.INT8:
        return
    cell = tensors[op.inputs[_CELL]].quantization
    cell.scale = [max(float(cell.scale[0]), _FINEST)]
    effective = op.intermediates[_EFFECTIVE]
    steps = _union(place.steps(hidden), place.steps(effective))
    before = place.steps(made)
    for index in (hidden, effective):
        _set(tensors[index], steps)
    if before == steps:
        return
    if np.allclose(before, steps, rtol=1e-6):
        _set(tensors[made], steps)
        return
    inner = copy.deepcopy(tensors[made])
    inner.name = (inner.name or b"") + b"/states"
    _set(inner, steps)
    tensors.append(inner)
    op.outputs = [len(tensors) - 1]
    change = place.schema.OperatorT()
    change.outputs = [made]
    place.become(change, "QUANTIZE", "QuantizeOptions", list(op.outputs))
    operators = place.graph.operators
    operators.insert(operators.index(op) + 1, change)


def _union(*several):
    """Steps that cover the ranges of several tensors of int8."""
    if len(set(several)) == 1:
        return several[0]
    low = min(scale * (-128 - zero) for scale, zero in several)
    high = max(scale * (127 - zero) for scale, zero in several)
    scale = (high - low) / 255
    return scale, int(np.clip(np.rint(-128 - low / scale), -128, 127))


def _set(tensor, steps):
    tensor.quantization = copy.deepcopy(tensor.quantization)
    tensor.quantization.scale = [steps[0]]
    tensor.quantization.zeroPoint = [steps[1]]
