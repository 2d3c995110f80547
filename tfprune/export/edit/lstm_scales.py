"""Repairs the scales of the op UNIDIRECTIONAL_SEQUENCE_LSTM.

The kernels write the hidden state and the output with one scale, but the
converter may set the output's scale to that of its reader (a concatenation,
say). Moreover, TFLite's tables for the cell state support no scale below
2 ** -15, and the converter has the kernels clip it to [-10, 10]. Where a
concatenation reads the input of an LSTM, too, the converter leaves the cell
state in int8, for which there is no kernel, and gives weights zero points,
which TFLite ignores.
"""

import copy
import math

import numpy as np

from tfprune.core import packages
from tfprune.export.edit import graph_edits

# Indices by the op's definition: among its inputs, the hidden and the cell
# state; among its intermediates, the hidden state before projection.
_HIDDEN, _CELL, _EFFECTIVE = 18, 19, 4
# The weights for the input and those for the hidden state, of each gate, and
# the biases.
_WEIGHTS, _RECURRENT, _BIASES = range(1, 5), range(5, 9), range(12, 16)
_FINEST, _CODES = 2.0**-15, 2.0**15


def repair(model):
    """Makes the scales within each LSTM op agree.

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
    _widen_cell(place, tensors[op.inputs[_CELL]])
    _center_weights(place, op)
    cell = tensors[op.inputs[_CELL]].quantization
    cell.scale = [max(float(cell.scale[0]), _FINEST)]
    # At the ends of int16: to CMSIS-NN, a limit of 0 is no exception.
    op.builtinOptions.cellClip = cell.scale[0] * _CODES
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


def _widen_cell(place, cell):
    """Makes a cell state of int8 one of int16, whose scale is a power of 2."""
    types = place.schema.TensorType
    if cell.type != types.INT8:
        return
    scale, zero = cell.quantization.scale[0], cell.quantization.zeroPoint[0]
    largest = float(scale) * max(127 - int(zero), 128 + int(zero))
    cell.type = types.INT16
    cell.quantization = place.schema.QuantizationParametersT()
    cell.quantization.scale = [2.0 ** math.ceil(math.log2(largest / _CODES))]
    cell.quantization.zeroPoint = [0]


def _center_weights(place, op):
    """Requantizes weights whose zero point is not 0, and their biases."""
    op.inputs = [int(index) for index in op.inputs]
    for at in (*_WEIGHTS, *_RECURRENT):
        index = op.inputs[at]
        values = place.real(index) if index >= 0 else None
        if values is None or not place.steps(index)[1]:
            continue
        steps = (max(float(np.abs(values).max()), 1e-9) / 127, 0)
        made = place.add_steps(values, steps, index, place.shape(index))
        _set(place.graph.tensors[made], steps)
        op.inputs[at] = made
        if at in _WEIGHTS:
            _rescale_bias(place, op, _BIASES[at - _WEIGHTS[0]], steps[0])


def _rescale_bias(place, op, at, scale):
    """Gives a bias the scale of the products with weights of a scale."""
    index = op.inputs[at]
    before, _ = place.steps(index)
    after = place.steps(op.inputs[0])[0] * scale
    values = place.constant(index) * (before / after)
    made = place.add_constant(np.rint(values))
    tensor = place.graph.tensors[made]
    tensor.name = place.graph.tensors[index].name
    tensor.quantization = place.graph.tensors[index].quantization
    _set(tensor, (after, 0))
    op.inputs[at] = made


def _union(*several):
    """Steps that cover the ranges of several int8 tensors."""
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
