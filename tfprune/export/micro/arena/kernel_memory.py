"""The arena memory of each TFLite Micro kernel on a 32-bit core.

A kernel allocates a persistent record when it is initialized, and requests
scratch buffers for inference. The sizes are those of TFLite Micro of August
2026 with CMSIS-NN (its `arm_*_get_buffer_size` functions) and ESP-NN 1.1
(`esp_nn_get_*_scratch_size`):
https://github.com/tensorflow/tflite-micro, /tensorflow/lite/micro/kernels;
https://github.com/ARM-software/CMSIS-NN, https://github.com/espressif/esp-nn.
"""

import dataclasses

from tfprune.costs.kernels import cmsis_scratch
from tfprune.costs.kernels import esp_scratch
from tfprune.costs.kernels import kernel_records

_UNKNOWN_RECORD = 64
_LUT = 2 * 513
_DECODE = "TFLM_DECODE"
# Bytes of a tensor during initialization, and of its quantization parameters.
_TENSOR, _STEPS = 32, 12
_REDUCERS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL")
# Kernels that copy the shape of their output before they write to it.
_COPIES_SHAPE = (
    "BATCH_MATMUL",
    "DEPTH_TO_SPACE",
    "EMBEDDING_LOOKUP",
    "GATHER",
    "GATHER_ND",
    "L2_POOL_2D",
    "SPACE_TO_DEPTH",
)
# Kernels whose `Prepare` requests its tensors twice.
_TWICE = (*_REDUCERS, "ABS", "RSQRT", "TANH")
_INTEGERS = ("INT8", "INT16")


@dataclasses.dataclass(frozen=True)
class Need:
    """The arena memory of a kernel, in bytes.

    Attributes:
        params: `int`, the op's parameters.
        record: `int`, its record, allocated by `Init`.
        persistent: list of `int`, further persistent buffers, allocated by
            `Prepare`.
        scratch: list of `int`, scratch buffers for inference.
        temporary: `int`, tensors that exist only during `Prepare`.
    """

    params: int
    record: int
    persistent: list
    scratch: list
    temporary: int


def of(op, kernels, extension):
    """The arena memory of an op's kernel.

    Args:
        op: `flat_ops.Op`.
        kernels: "reference", "cmsis-nn" or "esp-nn".
        extension: `str`, as `cores.variants` names them.

    Returns:
        A `Need`.
    """
    optimized = kernel_records.OPTIMIZED.get(kernels, {})
    record = optimized.get(op.kind, kernel_records.RECORDS.get(op.kind))
    if record is None:
        known = op.kind in kernel_records.WITHOUT or op.kind == _DECODE
        record = 0 if known else _UNKNOWN_RECORD
    return Need(
        params=kernel_records.PARAMS.get(op.kind, 0),
        record=record,
        persistent=_persistent(op, kernels, extension),
        scratch=_scratch(op, kernels, extension),
        temporary=_temporary(op),
    )


def _persistent(op, kernels, extension):
    found = list(_own_persistent(op, kernels, extension))
    if op.kind in _COPIES_SHAPE:
        found.append(4 + 4 * len(op.outputs[0].shape))
    return found


def _own_persistent(op, kernels, extension):
    first = op.inputs[0].dtype if op.inputs and op.inputs[0] else ""
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"):
        axis = 3 if op.kind == "DEPTHWISE_CONV_2D" else 0
        return [4 * op.inputs[1].shape[axis]] * 2
    if op.kind == "FULLY_CONNECTED" and first in _INTEGERS:
        weights = op.inputs[1]
        found = []
        if weights.channels > 1:
            found = [4 * weights.channels] * 2
        if (kernels, extension, first) == ("cmsis-nn", "mve", "INT8"):
            found += _sums(op) if _is_constant(op) else []
        return found
    if op.kind == "SVDF" and first == "INT8":
        is_mve = (kernels, extension) == ("cmsis-nn", "mve")
        return [4 * op.inputs[1].shape[0]] if is_mve else []
    if op.kind == "CUMSUM" and first == "INT8":
        return [36]
    if op.kind == "SOFTMAX" and first == "INT16":
        return [_LUT, _LUT]
    if op.kind == "BATCH_MATMUL":
        found = [28] if first in _INTEGERS else []
        turned = (op.option("adjX"), not op.option("adjY"))
        for tensor, wanted in zip(op.inputs, turned, strict=True):
            if wanted:
                found += [12, 4 + 4 * len(tensor.shape), tensor.bytes]
        return found
    if op.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM" and kernels == "cmsis-nn":
        state = op.inputs[18].shape[-1]
        size = {"INT8": 4, "INT16": 8}.get(first)
        return [size * state] * 8 if size else []
    if op.kind == _DECODE:
        found = [4 * len(op.outputs)]
        for tensor in op.outputs:
            found += [48, tensor.channels]
        return found
    return []


def _scratch(op, kernels, extension):
    first = op.inputs[0].dtype if op.inputs and op.inputs[0] else ""
    integers = first in _INTEGERS
    if op.kind in _REDUCERS:
        found = [4 * len(op.inputs[0].shape), 4 * max(1, op.inputs[1].size)]
        if op.kind in ("MEAN", "SUM") and integers:
            found.insert(0, 4 * op.outputs[0].size)
        return found
    if op.kind == "ADD_N":
        return [4 * len(op.inputs)]
    if op.kind == "MIRROR_PAD":
        return [4 * len(op.inputs[0].shape)] * 2
    if op.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        state, cell = op.inputs[18], op.inputs[19]
        size = {"FLOAT32": 4}.get(cell.dtype, 2)
        few = kernels == "cmsis-nn" and integers
        return [size * state.size] * (3 if few else 4)
    if op.kind == "SVDF":
        batch, filters = op.inputs[0].shape[0], op.inputs[1].shape[0]
        found = [4 * batch * filters]
        if integers:
            found.append(4 * op.outputs[0].size)
        return found
    if op.kind == "TRANSPOSE_CONV":
        return _transposed(op, kernels, extension)
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        if op.inputs[1].dtype == "INT4":
            # The reference kernels unpack int4 weights to int8.
            return [op.inputs[1].size]
    if not integers:
        return []
    if kernels == "cmsis-nn":
        return [n for n in _cmsis(op, extension, first) if n]
    if kernels == "esp-nn" and first == "INT8":
        return [n for n in _esp(op, extension) if n]
    return []


def _transposed(op, kernels, extension):
    dtype = op.inputs[2].dtype
    if dtype == "INT16":
        return [8 * op.outputs[0].size]
    if dtype != "INT8":
        return []
    if kernels == "cmsis-nn":
        return cmsis_scratch.transposed(cmsis_scratch.Window.of(op), extension)
    return [4 * op.outputs[0].size]


def _cmsis(op, extension, dtype):
    wide = dtype == "INT16"
    if op.kind == "CONV_2D":
        window = cmsis_scratch.Window.of(op)
        if wide:
            yield cmsis_scratch.wide_convolution(window, extension)
        else:
            yield cmsis_scratch.convolution(window, extension)
    elif op.kind == "DEPTHWISE_CONV_2D" and not wide:
        yield cmsis_scratch.depthwise(cmsis_scratch.Window.of(op), extension)
    elif op.kind == "FULLY_CONNECTED" and not wide:
        depth, shape = op.inputs[1].shape[-1], op.outputs[0].shape
        if len(shape) > 2 and depth % 4 == 0:
            if op.inputs[1].channels <= 1:
                yield 8 * shape[-1]
            if extension == "dsp":
                yield 4 * depth
        if extension == "mve" and not _is_constant(op):
            yield from _sums(op)
    elif op.kind == "AVERAGE_POOL_2D" and extension == "dsp":
        yield 4 * op.outputs[0].shape[-1]
    elif op.kind == "BATCH_MATMUL" and not wide and extension == "mve":
        yield 4 * op.outputs[0].shape[-1]


def _sums(op):
    """The sums of a dense layer's weights: kept, unless these are computed."""
    rank = len(op.outputs[0].shape)
    one_by_one = rank > 2 and op.inputs[1].shape[-1] % 4 == 0
    return [] if one_by_one else [4 * op.outputs[0].shape[-1]]


def _is_constant(op):
    """Whether all but the first input are constants."""
    return all(t is None or t.constant for t in op.inputs[1:])


def _esp(op, extension):
    if op.kind == "CONV_2D":
        yield esp_scratch.convolution(cmsis_scratch.Window.of(op), extension)
    elif op.kind == "DEPTHWISE_CONV_2D":
        yield esp_scratch.depthwise(cmsis_scratch.Window.of(op), extension)
    elif op.kind == "SOFTMAX":
        yield 4 * op.inputs[0].shape[1 if len(op.inputs[0].shape) > 1 else 0]


def _temporary(op):
    """Bytes of all tensors that `Prepare` requests, freed when it is done."""
    size = sum(map(_prepared, filter(None, op.inputs)))
    size += sum(map(_prepared, op.outputs))
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"):
        # Convolutions request the bias only once.
        again = [*op.inputs[:2], *op.outputs]
        if op.kind == "TRANSPOSE_CONV":
            again = [*op.inputs[1:3], *op.outputs]
        return size + sum(map(_prepared, again))
    known = (
        op.kind in kernel_records.RECORDS or op.kind in kernel_records.WITHOUT
    )
    return size if known and op.kind not in _TWICE else 2 * size


def _prepared(tensor):
    if not tensor.channels:
        return _TENSOR
    return _TENSOR + _STEPS + 4 + 4 * tensor.channels
