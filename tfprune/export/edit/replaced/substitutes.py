"""Replaces ops that TFLite Micro has no kernel for by ones that it has.

The converter targets TFLite, which has more kernels than TFLite Micro. Each
rule takes an op and replaces it in place if other ops compute the same.
"""

from tfprune.core import packages
from tfprune.export.edit import graph_edits
from tfprune.export.edit.replaced import bias_scales
from tfprune.export.edit.replaced import comparisons
from tfprune.export.edit.replaced import conditions
from tfprune.export.edit.replaced import copies
from tfprune.export.edit.replaced import float_factors
from tfprune.export.edit.replaced import float_ops
from tfprune.export.edit.replaced import int16_ops
from tfprune.export.edit.replaced import many_axes
from tfprune.export.edit.replaced import pieces
from tfprune.export.edit.replaced import rescaling
from tfprune.export.edit.replaced.windows import convolutions
from tfprune.export.edit.replaced.windows import pooled_samples
from tfprune.export.file import packing

# A difference that no integer tells.
_NOTHING = 1e-6
# The steps of integers that stand for themselves.
_AS_THEY_ARE = 1.0, 0


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
        kinds.SELECT: conditions.select,
        kinds.SELECT_V2: conditions.select_integers,
        kinds.SIGN: float_ops.sign,
        kinds.POW: float_ops.power,
        kinds.DIV: float_ops.quotient,
        kinds.FLOOR: float_ops.jumps,
        kinds.CEIL: float_ops.jumps,
        kinds.FLOOR_DIV: float_ops.jumps,
        kinds.FLOOR_MOD: float_ops.jumps,
        kinds.LEAKY_RELU: _requantization,
        kinds.RELU_N1_TO_1: _clip,
        kinds.TILE: pieces.tile,
        kinds.GATHER: _narrow_positions,
        kinds.GATHER_ND: _narrow_positions,
        kinds.DEPTH_TO_SPACE: _known_version,
        kinds.ONE_HOT: conditions.one_hot,
        kinds.CAST: _cast,
        kinds.REDUCE_ANY: conditions.any_or_all,
        kinds.REDUCE_ALL: conditions.any_or_all,
        kinds.UNPACK: pieces.unpack,
        kinds.SPLIT: pieces.split,
        kinds.STRIDED_SLICE: many_axes.slices,
        kinds.TRANSPOSE: many_axes.transpositions,
        kinds.MAXIMUM: many_axes.pairs,
        kinds.MINIMUM: many_axes.pairs,
        kinds.BATCH_MATMUL: many_axes.products,
        kinds.MAX_POOL_2D: pooled_samples.poolings,
        kinds.AVERAGE_POOL_2D: pooled_samples.poolings,
        kinds.FULLY_CONNECTED: _dense,
        kinds.EQUAL: comparisons.as_stored,
        kinds.NOT_EQUAL: comparisons.as_stored,
        kinds.GREATER: comparisons.in_order,
        kinds.GREATER_EQUAL: comparisons.in_order,
        kinds.LESS: comparisons.in_order,
        kinds.LESS_EQUAL: comparisons.in_order,
        kinds.CONV_2D: convolutions.convolution,
        kinds.DEPTHWISE_CONV_2D: convolutions.symmetric_weights,
        kinds.TRANSPOSE_CONV: convolutions.transposed,
    }
    if micro:
        rules[kinds.GELU] = float_ops.gelu
        rules[kinds.CAST] = _micro_cast
    for graph in model.subgraphs:
        place = graph_edits.Place(schema, model, graph)
        float_factors.repair(place)
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


def _narrow_positions(place, op):
    """Constant indices of int64 become int32."""
    x, positions = op.inputs
    values = place.constant(positions)
    if values is not None and values.itemsize == 8:
        op.inputs = [x, place.add_constant(values)]


def _known_version(place, op):
    """Version 2 only adds int8, which LiteRT's kernels accept as version 1."""
    place.model.operatorCodes[op.opcodeIndex].version = 1


def _cast(place, op):
    if place.type(op.inputs[0]) == place.schema.TensorType.UINT8:
        _bytes_in(place, op)
    else:
        float_ops.truncation(place, op)


def _micro_cast(place, op):
    """CAST of uint8 to float becomes DEQUANTIZE, whose kernel takes bytes."""
    _cast(place, op)
    source, made = op.inputs[0], op.outputs[0]
    types = place.schema.TensorType
    if (
        place.maker(made) is not op
        or place.type(source) != types.UINT8
        or place.type(made) != types.FLOAT32
        or place.steps(source) not in (None, _AS_THEY_ARE)
    ):
        return
    _count_as_they_are(place, source)
    place.become(op, "DEQUANTIZE", "DequantizeOptions", [source])


def _count_as_they_are(place, source):
    steps = place.schema.QuantizationParametersT()
    steps.scale, steps.zeroPoint = ([x] for x in _AS_THEY_ARE)
    place.graph.tensors[source].quantization = steps


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
    _count_as_they_are(place, source)
    for reader in readers:
        reader.inputs = [source]
    place.graph.operators.remove(op)


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
