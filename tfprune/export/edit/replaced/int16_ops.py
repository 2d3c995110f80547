"""Ops of int16 that TFLite Micro lacks, or that the converter gets wrong.

What has no int16 kernel is computed in float, between a DEQUANTIZE and a
QUANTIZE: float32 holds every int16. The converter may leave a comparison with
one input in float and another in int16, which gives wrong outputs without an
error; so do two of int16 with different scales. TFLite has no int16 kernel for
squared differences, of which TFLite Micro has one.
"""

import math

import numpy as np

from tfprune.export.edit.replaced import comparisons
from tfprune.export.edit.replaced import float_ops

# Ops whose kernels take float32, but not int16.
_IN_FLOAT = (
    "ELU",
    "EXP",
    "LOG",
    "MIRROR_PAD",
    "PADV2",
    "REDUCE_MAX",
    "REDUCE_MIN",
    "RESIZE_BILINEAR",
    "RSQRT",
    "SQUARE",
)
# Ops that read int16 and write float32.
_TO_FLOAT = "CAST", "DEQUANTIZE"
_POSITIONS = "ARG_MAX", "ARG_MIN"
# Their kernels compute in 32 bits, which overflow where the steps of the output
# are so many times finer than those of the input.
_RESCALING, _STEEP = ("RELU", "RELU6"), 2**15
# The end of int16 at which a constant of theirs would leave nothing else.
_WRAPPED = {"MINIMUM": -1, "MAXIMUM": 1}
_MOST = 32_767


def repair(place, op):
    """Repairs or replaces an op that reads or writes int16; leaves others.

    Args:
        place: `graph_edits.Place`.
        op: the op.
    """
    kind = place.kind(op)
    _read_reals(place, op)
    wide = len(op.outputs) == 1 and _wide(place, op.outputs[0])
    if kind in (*comparisons.KINDS, *_POSITIONS):
        op.inputs = [_real(place, op, index) for index in op.inputs]
    elif wide and kind in _WRAPPED:
        _unwrap(place, op, _WRAPPED[kind])
    elif wide and (kind in _IN_FLOAT or _is_steep(place, op)):
        _around(place, op)
    elif wide and kind == "GATHER":
        _gather(place, op)
    elif wide and kind == "GELU":
        _gelu(place, op)
    elif wide and kind == "SQUARED_DIFFERENCE":
        _square(place, op)
    elif wide and kind == "QUANTIZE":
        _from_bytes(place, op)


def _is_steep(place, op):
    if place.kind(op) not in _RESCALING:
        return False
    scales = [place.steps(i) for i in (*op.inputs, *op.outputs)]
    if None in scales:
        return False
    (read, _), (made, _) = scales
    return read >= _STEEP * made


def _from_bytes(place, op):
    """Requantizes uint8 to int16 by way of int8, as there is no kernel."""
    (source,), types = op.inputs, place.schema.TensorType
    if place.type(source) != types.UINT8:
        return
    made = place.insert(
        op,
        "QUANTIZE",
        "QuantizeOptions",
        [source],
        place.shape(source),
        source,
    )
    tensor = place.graph.tensors[made]
    scale, zero = place.steps(source)
    tensor.type = types.INT8
    tensor.quantization = place.schema.QuantizationParametersT()
    tensor.quantization.scale = [scale]
    tensor.quantization.zeroPoint = [zero - 128]
    op.inputs = [made]


def _read_reals(place, op):
    """Dequantizes what an op in float reads.

    The converter leaves that out where it reads an input of the model.
    """
    made = {place.type(index) for index in op.outputs}
    real = place.schema.TensorType.FLOAT32
    if made == {real} and place.kind(op) not in _TO_FLOAT:
        op.inputs = [_real(place, op, index) for index in op.inputs]


def _unwrap(place, op, end):
    """Gives a limit beyond the output's range its right sign.

    The converter lets it wrap around: min(x, 1e6) becomes min(x, -32767).
    """
    op.inputs = [
        place.add_steps(-values, place.steps(index), index)
        if place.is_constant(index)
        and _wide(place, index)
        and (values := place.real(index)).size == 1
        and values[0] * end >= _MOST * place.steps(index)[0]
        else index
        for index in op.inputs
    ]


def _around(place, op):
    """Computes an op in float; it becomes the QUANTIZE behind."""
    inputs = [_real(place, op, index) for index in op.inputs]
    made = place.repeat(op, inputs, place.shape(op.outputs[0]))
    tensor = place.graph.tensors[made]
    tensor.type = place.schema.TensorType.FLOAT32
    tensor.quantization = None
    place.become(op, "QUANTIZE", "QuantizeOptions", [made])


def _gather(place, op):
    """Reads from a table of int8, as other weights are; the op becomes the
    QUANTIZE behind. What is no constant is gathered in float.
    """
    table = op.inputs[0]
    if not place.is_constant(table):
        _around(place, op)
        return
    rows = place.real(table).reshape(place.shape(table))
    step = float(np.abs(rows).max()) / 127 or 1.0
    table = place.add_int8(np.rint(rows / step).astype("int8"), table)
    steps = place.schema.QuantizationParametersT()
    steps.scale, steps.zeroPoint = [step], [0]
    place.graph.tensors[table].quantization = steps
    made = place.repeat(op, [table, *op.inputs[1:]], place.shape(op.outputs[0]))
    tensor = place.graph.tensors[made]
    tensor.type, tensor.quantization = place.schema.TensorType.INT8, steps
    place.become(op, "QUANTIZE", "QuantizeOptions", [made])


def _gelu(place, op):
    """Writes GELU out in float; the op becomes the QUANTIZE behind."""
    made = float_ops.written_out_gelu(place, op, _real(place, op, op.inputs[0]))
    place.become(op, "QUANTIZE", "QuantizeOptions", [made])


def _square(place, op):
    """Becomes the product of a difference with itself."""
    made = op.outputs[0]
    gap = place.insert(
        op,
        "SUB",
        "SubOptions",
        op.inputs,
        place.shape(made),
        made,
        potScaleInt16=False,
    )
    steps = place.schema.QuantizationParametersT()
    largest = math.sqrt(place.steps(made)[0] * _MOST)
    steps.scale, steps.zeroPoint = [largest / _MOST], [0]
    place.graph.tensors[gap].quantization = steps
    place.become(op, "MUL", "MulOptions", [gap, gap])


def _wide(place, index):
    return place.type(index) == place.schema.TensorType.INT16


def _real(place, op, index):
    """A tensor in float."""
    if index < 0 or not _wide(place, index):
        return index
    maker = place.maker(index)
    if maker is not None and place.kind(maker) == "QUANTIZE":
        before = maker.inputs[0]
        if place.type(before) == place.schema.TensorType.FLOAT32:
            return int(before)
    return place.dequantize(op, index)
