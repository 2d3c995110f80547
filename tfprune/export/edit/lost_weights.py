"""Weights and biases that the converter lost.

To int16 it gives a tensor that was zero on all calibration samples no range, or
hardly any. A bias behind it then has no scale, or a coarse one, and it becomes
zero, with the weights that should suit it. To int8 it gives such a tensor so
small a range that the biases of an LSTM behind it exceed 32 bits, as do those
of gates whose weights are zero or tiny. They are quantized again, from the same
model in float.
"""

import copy

import numpy as np

from tfprune.core import packages
from tfprune.export.edit import dead_tensors
from tfprune.export.edit import graph_edits
from tfprune.export.file import packing

# The places of input, weights and bias, and the axis of the output channels.
_PLACES = {
    "CONV_2D": ((0, 1, 2), 0),
    "DEPTHWISE_CONV_2D": ((0, 1, 2), 3),
    "FULLY_CONNECTED": ((0, 1, 2), 0),
    "TRANSPOSE_CONV": ((2, 1, 3), 0),
}
_LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
# The places of each gate's input weights and bias.
_GATES = ((1, 12), (2, 13), (3, 14), (4, 15))
_MOST = 127
# A bias has 64 bits, of which some kernels use 32.
_LARGEST_BIAS = 2.0**30
_LARGEST_HALF = float(np.finfo("float16").max)
# Scales that are so many times what weights and bias need are not theirs.
_TOO_COARSE = 1.5


def are_lost(data):
    """Whether some op of a file has weights or biases without their values.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        `bool`.
    """
    ops = _with_weights(packing.unpacked(data))
    return any(_is_lost(place, op) for place, op in ops)


def beyond_half(data):
    """The weights of which some were too large for float16, and were cut.

    Those which are 0 otherwise mask, and do so still.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        List of the names of tensors.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model, found = packing.unpacked(data), []
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            stored = model.buffers[tensor.buffer].data
            if tensor.type != schema.TensorType.FLOAT16 or stored is None:
                continue
            sizes = np.abs(np.frombuffer(bytes(stored), "<f2"))
            fits = sizes < _LARGEST_HALF
            if not fits.all() and sizes[fits].any():
                found.append(tensor.name.decode())
    return found


def restore(model, data):
    """Quantizes lost weights and biases anew.

    Args:
        model: `ModelT`, as `packing.unpacked` returns it, in which each input
            of an op has a range by now; changed in place.
        data: `bytes` of the same model in float.

    Raises:
        ValueError: If the ops with weights are not the same in both.
    """
    floats, made = packing.unpacked(data), {}
    ops, others = _with_weights(model), _with_weights(floats)
    # Names may differ, but not the order.
    if [p.kind(op) for p, op in ops] != [p.kind(op) for p, op in others]:
        raise ValueError(
            "Each layer needs an input that is not zero on all calibration "
            "samples. Received: samples on which that of "
            f"{_lost_names(ops)} is. Calibrate on other samples."
        )
    for (place, op), (_, like) in zip(ops, others, strict=True):
        if place.kind(op) == _LSTM:
            if _is_lost(place, op):
                _restore_gates(place, op, floats, like, made)
            continue
        (source, kernel, bias), axis = _PLACES[place.kind(op)]
        step, _ = place.steps(op.inputs[source])
        rows = np.moveaxis(_values(floats, like, kernel), axis, 0)
        added = _values(floats, like, bias)
        scales = np.abs(rows).reshape(len(rows), -1).max(1) / _MOST
        if added is not None:
            least = np.abs(added) / step / _LARGEST_BIAS
            scales = np.maximum(scales, least)
        scales[scales == 0] = 1.0
        before = _scales(place, op.inputs[kernel])
        if len(before) == 1:
            scales[:] = scales.max()
        if (before < _TOO_COARSE * scales[: len(before)]).all():
            continue
        by_row = scales.reshape(-1, *[1] * (rows.ndim - 1))
        weights = np.moveaxis(rows / by_row, 0, axis)
        _put(place, op, kernel, weights, scales, made)
        if added is not None:
            steps = scales * step
            _put(place, op, bias, added / steps, steps, made)


def _restore_gates(place, op, floats, like, made):
    step, _ = place.steps(op.inputs[0])
    for kernel, bias in _gates(op):
        added = _values(floats, like, bias)
        scale = float(_scales(place, op.inputs[kernel])[0])
        least = np.abs(added).max() / step / _LARGEST_BIAS
        if least > scale:
            scale = least
            weights = _values(floats, like, kernel) / scale
            _put(place, op, kernel, weights, np.array([scale]), made)
        steps = scale * step
        _put(place, op, bias, added / steps, np.array([steps]), made)


def _with_weights(model):
    """`[(place, op)]` of all ops with weights that are constants."""
    schema = packages.load("ai_edge_litert.schema_py_generated")
    places = [graph_edits.Place(schema, model, g) for g in model.subgraphs]
    return [
        (place, op)
        for place in places
        for op in place.graph.operators
        if _has_weights(place, op)
    ]


def _has_weights(place, op):
    kind = place.kind(op)
    if kind not in _PLACES:
        return kind == _LSTM
    (_, kernel, _), _ = _PLACES[kind]
    return place.is_constant(op.inputs[kernel])


def _lost_names(ops):
    return ", ".join(
        place.graph.tensors[op.outputs[0]].name.decode()
        for place, op in ops
        if _is_lost(place, op)
    )


def _is_lost(place, op):
    if place.kind(op) == _LSTM:
        return _has_lost_biases(place, op)
    (source, kernel, _), _ = _PLACES[place.kind(op)]
    finite = np.isfinite(_scales(place, op.inputs[kernel])).all()
    wide = place.type(op.inputs[source]) == place.schema.TensorType.INT16
    dead = dead_tensors.is_dead(place, op.inputs[source])
    return not finite or (wide and dead)


def _has_lost_biases(place, op):
    if place.type(op.inputs[0]) != place.schema.TensorType.INT8:
        return False
    if dead_tensors.is_dead(place, op.inputs[0]):
        return True
    step, _ = place.steps(op.inputs[0])
    for kernel, bias in _gates(op):
        steps = step * _scales(place, op.inputs[kernel])
        if not np.isclose(_scales(place, op.inputs[bias]), steps).all():
            return True
        codes = place.constant(op.inputs[bias]).astype(float)
        if np.abs(codes).max() > _LARGEST_BIAS:
            return True
    return False


def _gates(op):
    """The places of the weights and the bias of each gate that has both."""
    return [
        (kernel, bias)
        for kernel, bias in _GATES
        if op.inputs[kernel] >= 0 and op.inputs[bias] >= 0
    ]


def _scales(place, index):
    steps = place.graph.tensors[index].quantization
    none = steps is None or steps.scale is None
    return np.array([] if none else steps.scale, float)


def _values(model, op, number):
    """A float constant that an op reads, in float64; `None` without one."""
    if number >= len(op.inputs) or op.inputs[number] < 0:
        return None
    tensor = model.subgraphs[0].tensors[op.inputs[number]]
    data = bytes(model.buffers[tensor.buffer].data)
    return np.frombuffer(data, "<f4").reshape(tensor.shape).astype(float)


def _put(place, op, number, values, scales, made):
    """Gives an op a constant like the one that it reads, with new values.

    Ops that share one share the new one, too; `made` has those so far.
    """
    old = op.inputs[number]
    values = np.rint(values)
    key = id(place.graph), old, values.tobytes(), scales.tobytes()
    if key not in made:
        made[key] = _added(place, old, values, scales)
    inputs = list(op.inputs)
    inputs[number] = made[key]
    op.inputs = inputs


def _added(place, old, values, scales):
    before, types = place.graph.tensors[old], place.schema.TensorType
    kind = {types.INT8: "i1", types.INT64: "<i8"}.get(before.type, "<i4")
    index = place.add_constant(values, kind)
    tensor = place.graph.tensors[index]
    tensor.type, tensor.name = before.type, before.name
    tensor.quantization = copy.deepcopy(before.quantization)
    count = len(before.quantization.scale)
    tensor.quantization.scale = scales[:count].tolist()
    tensor.quantization.zeroPoint = [0] * count
    return index
