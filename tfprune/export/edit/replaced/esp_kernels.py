"""Rewrites what kernels with ESP-NN compute wrongly.

Most is wrong in the assembly for the ESP32-S3, as seen by running its text
(version 1.2.3), op by op: `benchmarks/esp_nn.py`. The same values come from
other ops, which take other ways through the library or TFLite Micro's own
kernels.
"""

import copy
import math

import numpy as np

from tfprune.core import packages
from tfprune.core.files import damage
from tfprune.export.edit import graph_edits
from tfprune.export.edit.replaced import bias_scales
from tfprune.export.edit.replaced import many_axes
from tfprune.export.file import packing

# Bytes that a load takes, and how many of a row it takes for a whole vector.
_LOADED, _VECTOR = 8, 16
# Rows of less are searched for their largest value one by one.
_SEARCHED = 32
_POOLED = 4  # Other counts of channels run in C.
_SOFTMAX_STEPS = (1 / 65536, -32768)  # which its kernels for int16 require


def substituted(data, extension="vector"):
    """The file, for ESP-NN too.

    Args:
        data: `bytes` of a .tflite file.
        extension: "vector", for an ESP32-S3 and all others, or "plain", for
            the others, as `cores.variants` names them.

    Returns:
        `(bytes, names)`: the file, and of each op that was rewritten what
        it was and the tensor that it makes, a list of `str`.
    """
    model = packing.unpacked(data)
    schema = packages.load("ai_edge_litert.schema_py_generated")
    rules = _OF_ASSEMBLY if extension == "vector" else _OF_C
    names = []
    # An op of a damaged file may have fewer inputs or axes than its kernel.
    with damage.reading("a .tflite file"):
        for graph in model.subgraphs:
            place = graph_edits.Place(schema, model, graph)
            for op in tuple(graph.operators):
                rule = rules.get(place.kind(op))
                if rule and _is_int8(place, op):
                    name = _told(place, op)
                    if rule(place, op):
                        names.append(name)
    if not names:
        return data, names
    packing.sweep(model)
    return packing.packed(model), names


def _is_int8(place, op):
    types = {place.type(i) for i in (op.inputs[0], op.outputs[0])}
    return types == {place.schema.TensorType.INT8}


def _told(place, op):
    """An op and what it makes, `str`."""
    name = place.graph.tensors[op.outputs[0]].name or b""
    return f"{place.kind(op)} {name.decode()}".rstrip()


def _convolution(place, op):
    """A convolution with more padding behind than before gets it as an op.

    The library pads both sides by what comes before, and reads on behind.
    """
    source, weights = op.inputs[0], op.inputs[1]
    shape, kernel = place.shape(source), place.shape(weights)
    options = op.builtinOptions
    if (
        options.padding != place.schema.Padding.SAME
        or max(options.dilationHFactor, options.dilationWFactor) > 1
        or shape[3] != kernel[3]
        # Of few channels, it copies the windows, and looks where they end.
        or kernel[2] * kernel[3] < _VECTOR <= math.prod(kernel[1:])
    ):
        return False
    strides = options.strideH, options.strideW
    outputs = place.shape(op.outputs[0])[1:3]
    missing = [
        max(0, (o - 1) * s + k - i)
        for i, k, o, s in zip(
            shape[1:3], kernel[1:3], outputs, strides, strict=True
        )
    ]
    before = [n // 2 for n in missing]
    if not any(before) or not any(n % 2 for n in missing):
        return False
    edges = [(b, n - b) for b, n in zip(before, missing, strict=True)]
    edges = np.array([(0, 0), *edges, (0, 0)])
    padded = place.insert(
        op,
        "PAD",
        "PadOptions",
        [source, place.add_constant(edges)],
        (np.array(shape) + edges.sum(1)).tolist(),
        source,
    )
    op.inputs = [padded, *op.inputs[1:]]
    op.builtinOptions = copy.copy(options)
    op.builtinOptions.padding = place.schema.Padding.VALID
    return True


def _dense(place, op):
    """A dense layer of several rows becomes a convolution of 1x1.

    The library reads each row from the last address that loads may begin at.
    """
    source, weights, bias = op.inputs[0], op.inputs[1], list(op.inputs[2:])
    shape = place.shape(op.outputs[0])
    units, rows = shape[-1], math.prod(shape[:-1])
    depth = place.shape(weights)[-1]
    if rows == 1 or depth % _LOADED == 0:
        return False
    options = op.builtinOptions
    if not bias or bias[0] < 0:
        bias = [bias_scales.zeros(place, source, weights)]
    source = many_axes.reshaped(place, op, source, [1, rows, 1, depth])
    weights = _as_kernel(place, op, weights, [units, 1, 1, depth])
    made = place.repeat(op, [source, weights, *bias], [1, rows, 1, units])
    place.become(
        place.maker(made),
        "CONV_2D",
        "Conv2DOptions",
        [source, weights, *bias],
        padding=place.schema.Padding.VALID,
        strideH=1,
        strideW=1,
        dilationHFactor=1,
        dilationWFactor=1,
        fusedActivationFunction=options.fusedActivationFunction,
    )
    many_axes.finish(place, op, made)
    return True


def _as_kernel(place, op, weights, shape):
    """Weights in another shape; those that are decoded come in it at once."""
    maker = place.maker(weights)
    decoded = maker is not None and place.kind(maker) == "CUSTOM"
    if decoded and place.readers(weights) == [op]:
        place.graph.tensors[weights].shape = shape
        return weights
    return many_axes.reshaped(place, op, weights, shape)


def _softmax_of_rows(place, op):
    """Softmax of more than two axes gets two.

    The kernel takes the second axis for the row that its buffer is for.
    """
    shape = place.shape(op.inputs[0])
    width = shape[-1]
    if len(shape) == 2 or width <= shape[1]:
        return False
    flat = [math.prod(shape[:-1]), width]
    source = many_axes.reshaped(place, op, op.inputs[0], flat)
    many_axes.finish(place, op, place.repeat(op, [source], flat))
    return True


def _softmax(place, op):
    """Softmax of several rows gives int16 first, by TFLite Micro's kernel.

    The library's searches a row's largest value from the last address that a
    load may begin at.
    """
    shape = place.shape(op.inputs[0])
    width = shape[-1]
    rows = math.prod(shape[:-1])
    if rows == 1 or width < _SEARCHED or width % _VECTOR == 0:
        return _softmax_of_rows(place, op)
    made = place.repeat(op, op.inputs, shape)
    _as_int16(place, made, _SOFTMAX_STEPS)
    place.become(op, "QUANTIZE", "QuantizeOptions", [made])
    return True


def _pool(place, op):
    """Average pooling runs on int16, by TFLite Micro's kernel.

    The library takes rows for as long as columns of the output.
    """
    source, output = op.inputs[0], op.outputs[0]
    shape, steps = place.shape(output), place.steps(source)
    if shape[1] == shape[2] or shape[3] % _POOLED or steps is None:
        return False
    wide = place.insert(
        op, "QUANTIZE", "QuantizeOptions", [source], place.shape(source), source
    )
    _as_int16(place, wide, steps)
    made = place.repeat(op, [wide], shape)
    _as_int16(place, made, steps)
    place.become(op, "QUANTIZE", "QuantizeOptions", [made])
    return True


_OF_C = {"SOFTMAX": _softmax_of_rows}
_OF_ASSEMBLY = {
    "AVERAGE_POOL_2D": _pool,
    "CONV_2D": _convolution,
    "FULLY_CONNECTED": _dense,
    "SOFTMAX": _softmax,
}


def _as_int16(place, index, steps):
    tensor = place.graph.tensors[index]
    tensor.type = place.schema.TensorType.INT16
    tensor.quantization = place.schema.QuantizationParametersT()
    tensor.quantization.scale = [steps[0]]
    tensor.quantization.zeroPoint = [steps[1]]
