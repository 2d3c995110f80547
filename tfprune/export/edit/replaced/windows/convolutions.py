"""Convolutions: weights and biases of the types that their kernels read.

Each rule takes a `graph_edits.Place` and the op, which it replaces in place.
"""

import copy

import numpy as np

from tfprune.export.edit.replaced import bias_scales
from tfprune.export.edit.replaced.windows import groups
from tfprune.export.edit.replaced.windows import single_rows


def convolution(place, op):
    symmetric_weights(place, op)
    groups.convolutions(place, op)
    if place.kind(op) == "CONV_2D":
        single_rows.convolutions(place, op)


def symmetric_weights(place, op):
    """Requantizes the weights of convolutions to int8 with a zero point of 0.

    Kernels require it. The converter quantizes an array that Keras passes to a
    convolution op (as in `ops.image.extract_patches`) like an activation, as it
    does with weights that a model computes.
    """
    weights = op.inputs[1]
    tensor, types = place.graph.tensors[weights], place.schema.TensorType
    steps = place.steps(weights)
    fits = tensor.type == types.INT8 and steps is not None and not steps[1]
    if steps is None or fits or tensor.type not in (types.INT8, types.INT16):
        return
    if not place.is_constant(weights):
        _symmetric_computed_weights(place, op)
        return
    if tensor.type != types.INT8:
        return
    values = place.real(weights).reshape(place.shape(weights))
    scale = max(float(np.abs(values).max()), 1e-9) / 127
    new = place.add_steps(values.reshape(-1), (scale, 0), like=weights)
    made = place.graph.tensors[new]
    made.shape = list(tensor.shape)
    made.quantization = copy.deepcopy(tensor.quantization)
    made.quantization.scale, made.quantization.zeroPoint = [scale], [0]
    op.inputs = [op.inputs[0], new, *op.inputs[2:]]
    bias_scales.repair(place, op)


def _symmetric_computed_weights(place, op):
    weights = op.inputs[1]
    scale, zero = place.steps(weights)
    wide = place.type(weights) == place.schema.TensorType.INT16
    most = 32767 if wide else max(127 - zero, 128 + zero)
    shape = place.shape(weights)
    made = place.insert(
        op, "QUANTIZE", "QuantizeOptions", [weights], shape, weights
    )
    tensor = place.graph.tensors[made]
    tensor.type = place.schema.TensorType.INT8
    tensor.quantization = place.schema.QuantizationParametersT()
    tensor.quantization.scale = [scale * most / 127]
    tensor.quantization.zeroPoint = [0]
    op.inputs = [op.inputs[0], made, *op.inputs[2:]]
    bias_scales.repair(place, op)


def transposed(place, op):
    symmetric_weights(place, op)
    _bias_of_zeros(place, op)
    _activation_of_its_own(place, op)


def _activation_of_its_own(place, op):
    """The ReLU of an int16 TRANSPOSE_CONV becomes an op.

    The kernels for CMSIS-NN leave it out.
    """
    options = op.builtinOptions
    types = place.schema.ActivationFunctionType
    fused = {types.RELU: "RELU", types.RELU6: "RELU6"}.get(
        options.fusedActivationFunction
    )
    if not fused or place.type(op.outputs[0]) != place.schema.TensorType.INT16:
        return
    made = place.repeat(op, op.inputs, place.shape(op.outputs[0]))
    before = place.maker(made)
    before.builtinOptions = copy.copy(options)
    before.builtinOptions.fusedActivationFunction = types.NONE
    place.become(op, fused, "NONE", [made])


def _bias_of_zeros(place, op):
    """An int16 TRANSPOSE_CONV without a bias gets one of zeros.

    The kernels for CMSIS-NN read its type without asking whether there is one.
    """
    types = place.schema.TensorType
    _, weights, source, *bias = op.inputs
    if bias or place.type(source) != types.INT16:
        return
    index = bias_scales.zeros(place, source, weights)
    options, inputs = op.builtinOptions, [*op.inputs, index]
    place.become(
        op, "TRANSPOSE_CONV", "TransposeConvOptions", inputs, version=3
    )
    op.builtinOptions = options
