"""Replaces ops that TFLite Micro has no kernel for by ones that it has.

The converter targets TFLite, which has more kernels than TFLite Micro. Each
rule takes an op and replaces it in place if other ops compute the same.
"""

import copy

import numpy as np

from tfprune.core import packages
from tfprune.export.edit import graph_edits
from tfprune.export.edit.replaced import bias_scales
from tfprune.export.edit.replaced import copies
from tfprune.export.edit.replaced import float_ops
from tfprune.export.edit.replaced import groups
from tfprune.export.edit.replaced import int16_ops
from tfprune.export.edit.replaced import many_axes
from tfprune.export.edit.replaced import pooled_samples
from tfprune.export.edit.replaced import rescaling
from tfprune.export.edit.replaced import single_rows
from tfprune.export.file import packing

# A difference that no integer tells.
_NOTHING = 1e-6
# By how much of a step an equal constant may be off.
_ROUNDED = 1e-3
# Which input is divided.
_SPLIT_INPUT = {"SPLIT": 1, "UNPACK": 0}


def substituted(data):
    """The same as `substitute` for TFLite Micro, of a file.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        `bytes`.
    """
    model = packing.unpacked(data)
    substitute(model, micro=True)
    return packing.packed(model)


def substitute(model, micro=False):
    """Replaces ops in all graphs of a model.

    Args:
        model: `ModelT`, as `packing.unpacked` returns it; changed in place.
        micro: `bool`, whether ops go, too, which TFLite is fast at.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    kinds = schema.BuiltinOperator
    rules = {
        kinds.SELECT: _select,
        kinds.SELECT_V2: _select_integers,
        kinds.SIGN: float_ops.sign,
        kinds.POW: float_ops.power,
        kinds.DIV: float_ops.quotient,
        kinds.LEAKY_RELU: _requantization,
        kinds.RELU_N1_TO_1: _clip,
        kinds.TILE: _tile,
        kinds.GATHER: _narrow_positions,
        kinds.GATHER_ND: _narrow_positions,
        kinds.DEPTH_TO_SPACE: _known_version,
        kinds.ONE_HOT: _one_hot,
        kinds.CAST: _bytes_in,
        kinds.REDUCE_ANY: _any,
        kinds.REDUCE_ALL: _any,
        kinds.UNPACK: _unpack,
        kinds.SPLIT: _split_as_stored,
        kinds.STRIDED_SLICE: many_axes.slices,
        kinds.TRANSPOSE: many_axes.transpositions,
        kinds.MAXIMUM: many_axes.pairs,
        kinds.MINIMUM: many_axes.pairs,
        kinds.BATCH_MATMUL: many_axes.products,
        kinds.MAX_POOL_2D: pooled_samples.poolings,
        kinds.AVERAGE_POOL_2D: pooled_samples.poolings,
        kinds.FULLY_CONNECTED: _dense,
        kinds.EQUAL: _compare_as_stored,
        kinds.NOT_EQUAL: _compare_as_stored,
        kinds.CONV_2D: _convolution,
        kinds.DEPTHWISE_CONV_2D: _symmetric_weights,
        kinds.TRANSPOSE_CONV: _transposed_convolution,
    }
    if micro:
        rules[kinds.GELU] = float_ops.gelu
    for graph in model.subgraphs:
        place = graph_edits.Place(schema, model, graph)
        for op in tuple(graph.operators):
            bias_scales.repair(place, op)
            int16_ops.repair(place, op)
            copies.repair(place, op)
            rescaling.repair(place, op)
            code = model.operatorCodes[op.opcodeIndex]
            rule = rules.get(max(code.builtinCode, code.deprecatedBuiltinCode))
            if rule:
                rule(place, op)
    packing.sweep(model)


def _select(place, op):
    """SELECT becomes SELECT_V2, which also broadcasts."""
    condition, first, _ = op.inputs
    if place.shape(condition) == place.shape(first):
        place.become(op, "SELECT_V2", "SelectV2Options", op.inputs)
        _select_integers(place, op)


def _select_integers(place, op):
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


def _requantization(place, op):
    """LEAKY_RELU becomes QUANTIZE if it does no more than that."""
    (source,), (made,) = op.inputs, op.outputs
    int8 = place.schema.TensorType.INT8
    if (
        abs(op.builtinOptions.alpha - 1) < _NOTHING
        and place.type(source) == place.type(made) == int8
    ):
        place.become(op, "QUANTIZE", "QuantizeOptions", [source])


def _clip(place, op):
    """RELU_N1_TO_1 becomes a sum with 0, which clips as well."""
    (source,) = op.inputs
    if place.type(source) == place.schema.TensorType.FLOAT32:
        nothing = place.add_floats([0.0])
    elif place.steps(source) is not None:
        nothing = place.add_steps([0.0], place.steps(source), source, (1,))
    else:
        return
    kinds = place.schema.ActivationFunctionType
    place.become(
        op,
        "ADD",
        "AddOptions",
        [source, nothing],
        fusedActivationFunction=kinds.RELU_N1_TO_1,
    )


def _tile(place, op):
    """TILE becomes BROADCAST_TO along axes of size 1, else CONCATENATIONs."""
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
    elif max(times) <= groups.MOST_JOINED:
        for axis in axes[:-1]:
            shape = list(place.shape(x))
            shape[axis] *= times[axis]
            x = place.insert(
                op,
                "CONCATENATION",
                "ConcatenationOptions",
                [x] * times[axis],
                shape,
                x,
                axis=int(axis),
            )
        place.become(
            op,
            "CONCATENATION",
            "ConcatenationOptions",
            [x] * times[axes[-1]],
            axis=int(axes[-1]),
        )


def _narrow_positions(place, op):
    """Constant indices of int64 become int32."""
    x, positions = op.inputs
    values = place.constant(positions)
    if values is not None and values.itemsize == 8:
        op.inputs = [x, place.add_constant(values)]


def _known_version(place, op):
    """Version 2 only adds int8, which LiteRT's kernels accept as version 1."""
    place.model.operatorCodes[op.opcodeIndex].version = 1


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


def _one_hot(place, op):
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


def _bytes_in(place, op):
    """CAST of uint8 to float and QUANTIZE become one QUANTIZE of uint8."""
    source, made = op.inputs[0], op.outputs[0]
    types = place.schema.TensorType
    readers = place.readers(made)
    if (
        place.type(source) != types.UINT8
        or place.type(made) != types.FLOAT32
        or made in place.graph.outputs
        or any(place.kind(reader) != "QUANTIZE" for reader in readers)
    ):
        return
    steps = place.schema.QuantizationParametersT()
    steps.scale, steps.zeroPoint = [1.0], [0]
    place.graph.tensors[source].quantization = steps
    for reader in readers:
        reader.inputs = [source]
    place.graph.operators.remove(op)


def _any(place, op):
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


def _split_as_stored(place, op):
    """SPLIT and UNPACK of dequantized values take the stored integers.

    The converter leaves them in float if nothing reads one of their outputs;
    SPLIT only sometimes: it depends on where things lie in its memory.
    """
    source = op.inputs[_SPLIT_INPUT[place.kind(op)]]
    before = place.maker(source)
    if (
        before is None
        or place.kind(before) != "DEQUANTIZE"
        or place.steps(before.inputs[0]) is None
        or set(op.outputs) & set(place.graph.outputs)
        or any(
            place.kind(reader) != "QUANTIZE"
            for made in op.outputs
            for reader in place.readers(made)
        )
    ):
        return
    (stored,) = before.inputs
    op.inputs = [stored if i == source else i for i in op.inputs]
    op.outputs = list(op.outputs)
    for number, made in enumerate(op.outputs):
        tensor = place.graph.tensors[made]
        tensor.type = place.type(stored)
        tensor.quantization = place.graph.tensors[stored].quantization
        for reader in place.readers(made):
            if place.steps(reader.outputs[0]) == place.steps(stored):
                # The others, if any, quantize this one to their steps.
                place.graph.operators.remove(reader)
                for other in place.readers(made):
                    other.inputs = list(reader.outputs)
                (op.outputs[number],) = reader.outputs
                break
    if not place.readers(source) and source not in place.graph.outputs:
        place.graph.operators.remove(before)


def _unpack(place, op):
    if place.type(op.inputs[0]) == place.schema.TensorType.BOOL:
        _unpack_truths(place, op)
    else:
        _split_as_stored(place, op)


def _unpack_truths(place, op):
    """UNPACK of booleans becomes a STRIDED_SLICE for each output."""
    source = op.inputs[0]
    shape = place.shape(source)
    axis = op.builtinOptions.axis % len(shape)
    ends = [1] * len(shape)
    for number, made in enumerate(op.outputs):
        begin, end = np.zeros(len(shape), int), np.array(shape)
        begin[axis], end[axis] = number, number + 1
        one = place.schema.OperatorT()
        one.outputs = [made]
        inputs = [source, *map(place.add_constant, (begin, end))]
        inputs.append(place.add_constant(np.array(ends)))
        place.become(
            one,
            "STRIDED_SLICE",
            "StridedSliceOptions",
            inputs,
            shrinkAxisMask=1 << axis,
        )
        place.graph.operators.insert(place.graph.operators.index(op), one)
    place.graph.operators.remove(op)


def _compare_as_stored(place, op):
    """EQUAL and NOT_EQUAL with a constant compare the stored integers.

    The converter dequantizes first. A constant that is not a multiple of the
    scale would then equal no element, so it is rounded to one here. A constant
    beyond the tensor's range indeed equals none and stays as it is. Two tensors
    of different scales are compared within a step; so is a constant that the
    converter has quantized, if it lies between two steps of the tensor.
    """
    if not any(map(place.is_constant, op.inputs)):
        _compare_within_a_step(place, op)
        return
    for one, other in (op.inputs, op.inputs[::-1]):
        before = place.maker(one)
        if (
            before is None
            or place.kind(before) != "DEQUANTIZE"
            or not place.is_constant(other)
            or place.type(other) != place.schema.TensorType.FLOAT32
        ):
            continue
        source = before.inputs[0]
        steps = place.steps(source)
        if steps is None:
            continue
        data = bytes(
            place.model.buffers[place.graph.tensors[other].buffer].data
        )
        values = np.frombuffer(data, "<f4")
        if values.size == 1 and place.represents(values, source):
            value = place.add_steps(values, steps, like=source)
            if place.type(source) == place.schema.TensorType.INT16:
                # There is no kernel of int16.
                op.inputs = [one, place.add_floats(place.real(value))]
            else:
                op.inputs = [source, value]
            return
    for one, other in (op.inputs, op.inputs[::-1]):
        values, steps = place.real(other), place.steps(one)
        if values is not None and steps is not None:
            stored = values / steps[0]
            if np.abs(stored - np.rint(stored)).max() > _ROUNDED:
                _compare_within_a_step(place, op)
                return


def _compare_within_a_step(place, op):
    """Tensors of two scales are equal if they differ by less than a step.

    What is equal in the model is rounded to other values in each.
    """
    types = place.schema.TensorType
    sources = []
    for index in op.inputs:
        before = place.maker(index)
        if before is not None and place.kind(before) == "DEQUANTIZE":
            index = before.inputs[0]
        sources.append(int(index))
    kinds = {place.type(index) for index in sources}
    steps = [place.steps(index) for index in sources]
    if len(kinds) > 1 or not kinds <= {types.INT8, types.INT16}:
        return
    if None in steps or steps[0] == steps[1]:
        return
    gap = place.insert(
        op,
        "SUB",
        "SubOptions",
        sources,
        place.shape(op.outputs[0]),
        sources[0],
        potScaleInt16=False,
    )
    # It rounds to 0 what is less than half of its own step.
    both = place.schema.QuantizationParametersT()
    both.scale, both.zeroPoint = [2 * max(scale for scale, _ in steps)], [0]
    place.graph.tensors[gap].quantization = both
    if kinds == {types.INT8}:
        zero = place.add_steps(np.zeros(1), place.steps(gap), like=sources[0])
        place.graph.tensors[zero].quantization = both
    else:  # There is no kernel of int16.
        gap = place.insert(
            op,
            "DEQUANTIZE",
            "DequantizeOptions",
            [gap],
            place.shape(gap),
            "FLOAT32",
        )
        zero = place.add_floats([0.0])
    op.inputs = [gap, zero]


def _dense(place, op):
    """A dense op with computed int16 weights becomes a product of matrices.

    It has a kernel of int8 weights only.
    """
    source, weights, *bias = op.inputs
    if (
        place.type(weights) == place.schema.TensorType.INT16
        and not place.is_constant(weights)
        and max(bias, default=-1) < 0
        and not op.builtinOptions.fusedActivationFunction
        and len(place.shape(source)) == len(place.shape(weights))
    ):
        place.become(
            op,
            "BATCH_MATMUL",
            "BatchMatMulOptions",
            [source, weights],
            version=3,
            adjY=True,
        )
    else:
        many_axes.dense(place, op)


def _convolution(place, op):
    _symmetric_weights(place, op)
    groups.convolutions(place, op)
    if place.kind(op) == "CONV_2D":
        single_rows.convolutions(place, op)


def _symmetric_weights(place, op):
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
        _compute_symmetric_weights(place, op)
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


def _compute_symmetric_weights(place, op):
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


def _transposed_convolution(place, op):
    _symmetric_weights(place, op)
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
