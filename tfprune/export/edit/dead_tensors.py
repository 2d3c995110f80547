"""Tensors that were zero on all calibration samples.

The converter gives such a tensor a range of about a millionth. Ops that read it
then need a rescaling factor beyond what runtimes support: XNNPACK refuses the
file, and other kernels may abort the process. A constant of zeros may even have
a scale of 0. Tensors that are small, but not zero, stay.
"""

import collections
import functools
import math

import numpy as np
from absl import logging

from tfprune.core import packages
from tfprune.export.edit import graph_edits
from tfprune.export.file import packing

# The largest value that such a tensor can represent.
_NOTHING = 2e-6
# What is smaller was rounded from 0.
_LEAST = 1e-30
# Inputs whose steps are so many times its own leave nothing of an output.
_NOISE = 2.0**7
_SUMS = ("ADD", "SUB")
_SQUARES = ("SQUARE", "SQUARED_DIFFERENCE")
# They compute the same of all that is so small, and kernels may abort.
_INSENSITIVE = (
    "LOGISTIC",
    "LOG_SOFTMAX",
    "SOFTMAX",
    "TANH",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
)
# Its new scale in [-1, 1), and how far above the scale of a sum it may be: the
# kernel has no more bits.
_SCALES = {"INT8": (2.0**-7, 2.0**10), "INT16": (2.0**-15, 2.0**4)}
_WITH_BIAS = (
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "TRANSPOSE_CONV",
)


def are_there(data):
    """Whether a file has dead tensors that need not be zero.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        `bool`.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model = packing.unpacked(data)
    return any(
        is_dead(place, index) and not _is_always_zero(place, index)
        for place in (
            graph_edits.Place(schema, model, g) for g in model.subgraphs
        )
        for index in range(len(place.graph.tensors))
    )


def largest(data):
    """The largest size of each tensor on the calibration samples.

    Args:
        data: `bytes` of a .tflite file whose tensors have ranges.

    Returns:
        `dict` from the names of tensors to `float`.
    """
    return {
        (tensor.name or b"").decode(): float(
            np.abs([steps.min, steps.max]).max()
        )
        for graph in packing.unpacked(data).subgraphs
        for tensor in graph.tensors
        if (steps := tensor.quantization) is not None
        and steps.min is not None
        and steps.max is not None
    }


def rescale(model, largest=None):
    """Widens the range of dead tensors, to [-1, 1) if it can, with a warning.

    Args:
        model: `ModelT`, as `packing.unpacked` returns it; changed in place.
        largest: the result of `largest`, by which small tensors are told from
            those that were zero; `None` takes all of them for zero.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    for graph in model.subgraphs:
        place = graph_edits.Place(schema, model, graph)
        factors = _rescaled(place, largest or {})
        # The converter joins the names of fused ops by semicolons.
        names = [
            graph.tensors[i].name.decode().partition(";")[0]
            for i in factors
            if not _is_always_zero(place, i)
        ]
        if names:
            logging.warning(
                "Zero on all calibration samples, so the layers that read them "
                "may have lost precision: %s. Calibrate on samples that "
                "activate them, or remove them.",
                ", ".join(names),
            )
        if factors:
            _follow(schema, model, graph, factors)


def is_dead(place, index):
    """Whether a tensor was zero on all calibration samples.

    Args:
        place: a `graph_edits.Place`.
        index: `int`, of a tensor.
    """
    tensor, types = place.graph.tensors[index], place.schema.TensorType
    most = {types.INT8: 127, types.INT16: 32767}
    steps = tensor.quantization
    return (
        tensor.type in most
        and steps is not None
        and steps.scale is not None
        and len(steps.scale) == 1
        and place.model.buffers[tensor.buffer].data is None
        and steps.scale[0] * most[tensor.type] < _NOTHING
    )


def _is_always_zero(place, index):
    """Whether a tensor is x - x, by which finite numbers are told."""
    op = place.maker(index)
    return (
        op is not None
        and place.kind(op) == "SUB"
        and op.inputs[0] == op.inputs[1]
    )


def _rescaled(place, largest):
    """Rescales dead tensors; `dict` from index to the factor of the scale."""
    factors = {}
    indices = range(len(place.graph.tensors))
    dead = [index for index in indices if is_dead(place, index)]
    small = _small(place, dead, largest)
    dead = [index for index in dead if index not in small]
    scales = {
        getattr(place.schema.TensorType, name): _scale(place, dead, name)
        for name in _SCALES
    }
    for index in dead:
        tensor = place.graph.tensors[index]
        scale = scales[tensor.type]
        factors[index] = scale / float(tensor.quantization.scale[0])
        tensor.quantization.scale = [scale]
    for index in filter(functools.partial(_is_null, place), indices):
        tensor = place.graph.tensors[index]
        tensor.quantization.scale = [scales.get(tensor.type, 1.0)]
    return factors


def _small(place, dead, largest):
    """The tensors that only seem to be dead, a `set` of indices.

    Those of one scale and zero point go together, since many ops copy what they
    read as stored.
    """
    alike = collections.defaultdict(list)
    for index in dead:
        key = place.type(index), *place.steps(index)
        alike[key].append(index)
    found = set()
    for (_, scale, _), group in alike.items():
        size = max(_size(place, index, largest) for index in group)
        readers = [
            op
            for index in group
            for op in place.readers(index)
            if op.outputs[0] not in group
        ]
        if (
            size >= max(scale, _LEAST)
            and not any(_is_noise(place, index) for index in group)
            and not any(place.kind(op) in _INSENSITIVE for op in readers)
            and (not readers or any(_feels(place, op, size) for op in readers))
        ):
            found.update(group)
    return found


def _feels(place, op, size):
    """Whether inputs of some size move the output of an op by a step."""
    kind = place.kind(op)
    if kind not in _WITH_BIAS or not place.is_constant(op.inputs[1]):
        return True
    kernel = place.graph.tensors[op.inputs[1]]
    steps = place.steps(op.outputs[0])
    if kernel.type != place.schema.TensorType.INT8 or steps is None:
        return True
    scales = np.asarray(kernel.quantization.scale, float)
    data = bytes(place.model.buffers[kernel.buffer].data)
    codes = np.abs(np.frombuffer(data, "i1").astype(int)).reshape(kernel.shape)
    axis = kernel.quantization.quantizedDimension
    rows = np.moveaxis(codes, axis, 0).reshape(codes.shape[axis], -1).sum(1)
    return bool((size * (rows * scales).max()) >= steps[0])


def _size(place, index, largest):
    """The largest size of a tensor; 0 if it is not known."""
    maker, near = place.maker(index), [index]
    # The converter names what it quantizes anew, but not what that is made of.
    if maker is not None and place.kind(maker) == "QUANTIZE":
        near.append(maker.inputs[0])
    near += [
        op.outputs[0]
        for op in place.readers(index)
        if place.kind(op) in ("DEQUANTIZE", "QUANTIZE")
    ]
    names = ((place.graph.tensors[i].name or b"").decode() for i in near)
    return max(largest.get(name.removesuffix("_int16"), 0.0) for name in names)


def _is_noise(place, index):
    """Whether a tensor is far below a step of what it is computed from."""
    op = place.maker(index)
    if op is None:
        return False
    read = [place.graph.tensors[i].quantization for i in op.inputs if i >= 0]
    scales = [
        float(max(steps.scale))
        for steps in read
        if steps is not None and steps.scale is not None and len(steps.scale)
    ]
    if not scales:
        return False
    kind = place.kind(op)
    if kind in _SQUARES:
        step = max(scales) ** 2
    else:
        step = (max if kind in _SUMS else math.prod)(scales[:2])
    return step > _NOISE * place.steps(index)[0]


def _scale(place, dead, name):
    """Returns the new scale of all dead tensors of a type.

    It is the same for all, since many ops copy what they read as stored. The
    kernels of sums bring both terms to the larger one of their scales: if it is
    far above the others, it takes all bits from them, or the process stops.
    """
    kind = getattr(place.schema.TensorType, name)
    scale, most = _SCALES[name]
    for op in place.graph.operators:
        if place.kind(op) not in _SUMS:
            continue
        (made,) = op.outputs
        if place.type(made) != kind or made in dead:
            continue
        if any(index in dead for index in op.inputs):
            others = [i for i in op.inputs if i not in dead]
            steps = [place.steps(index) for index in others]
            alive = [found[0] for found in steps if found is not None]
            limit = max([most * place.steps(made)[0], *alive])
            scale = min(scale, limit)
    return scale


def _is_null(place, index):
    """Whether a tensor is a constant of zeros with a scale of 0.

    The scale of a bias depends on those of inputs and weights: these stay.
    """
    data = place.model.buffers[place.graph.tensors[index].buffer].data
    return (
        data is not None
        and place.steps(index) == (0, 0)
        and not any(bytes(data))
        and all(place.kind(op) not in _WITH_BIAS for op in place.readers(index))
    )


def _follow(schema, model, graph, factors):
    """Rescales the biases of ops that read a rescaled tensor.

    The scale of a bias is that of the input times that of the weights.
    """
    kinds = [getattr(schema.BuiltinOperator, name) for name in _WITH_BIAS]
    done = set()
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        if kind not in kinds or len(op.inputs) < 3:
            continue
        *sources, index = op.inputs
        factor = next((factors[i] for i in sources if i in factors), None)
        if factor is None or index < 0 or index in done:
            continue
        done.add(index)
        bias = graph.tensors[index]
        long = bias.type == schema.TensorType.INT64
        kind = np.dtype("<i8" if long else "<i4")
        values = np.frombuffer(bytes(model.buffers[bias.buffer].data), kind)
        buffer = schema.BufferT()
        buffer.data = np.rint(values / factor).astype(kind).view("u1")
        model.buffers.append(buffer)
        bias.buffer = len(model.buffers) - 1
        scales = np.asarray(bias.quantization.scale, "f8") * factor
        bias.quantization.scale = list(scales)
