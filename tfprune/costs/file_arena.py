"""The tensor arena of TFLite Micro for the ops of an int8 file, predicted.

`export.micro.arena` computes it for a file at hand, step by step. Here the same
numbers are added up for ops without a file: how many constants each has is told
from its kind. The kernels are the reference ones; what others add is known once
there is a file.
"""

import math

import numpy as np

from tfprune.costs import kernel_records
from tfprune.costs import memory
from tfprune.graph.lowering import file_op

ALIGNMENT = 16
# Bytes of the interpreter, of each op and of each tensor; of a tensor while the
# ops prepare, and of what the planner keeps for a tensor and for a buffer.
_INTERPRETER, _NODE, _TENSOR = 132, 32, 12
_PREPARED, _REQUEST, _INFO, _PLANNED, _REQUESTS = 52, 12, 24, 40, 12
# An input or an output of the model.
_END = 80
# Tensors that an op has besides those that other ops make.
_CONSTANTS = {
    "ARG_MAX": 1,
    "ARG_MIN": 1,
    "BROADCAST_TO": 1,
    "CONV_2D": 2,
    "CUMSUM": 1,
    "DEPTHWISE_CONV_2D": 2,
    "FULLY_CONNECTED": 2,
    "GATHER": 1,
    "MEAN": 1,
    "PAD": 1,
    "PRELU": 1,
    "REDUCE_MAX": 1,
    "REDUCE_MIN": 1,
    "RESHAPE": 1,
    "RESIZE_BILINEAR": 1,
    "RESIZE_NEAREST_NEIGHBOR": 1,
    "REVERSE_V2": 1,
    "SLICE": 2,
    "SPLIT": 1,
    "STRIDED_SLICE": 3,
    "SUM": 1,
    "TRANSPOSE": 1,
    "TRANSPOSE_CONV": 3,
    file_op.LSTM: 19,
}
_WITH_CONSTANT = {"ADD", "MAXIMUM", "MINIMUM", "MUL", "NOT_EQUAL", "SUB"}
_SUMS = {"MEAN", "SUM"}
_PREPARED_TWICE = {*_SUMS, "ABS", "REDUCE_MAX", "REDUCE_MIN", "RSQRT", "TANH"}
# Scratch buffers of kernels; those of axes and indices are small.
_SCRATCH = {
    "MEAN": 3,
    "SUM": 3,
    "REDUCE_MAX": 2,
    "REDUCE_MIN": 2,
    "TRANSPOSE_CONV": 1,
    file_op.LSTM: 4,
}


def scratch(op):
    """What an op holds while it runs, a tuple of `Made`."""
    if op.kind in _SUMS:
        return (*op.scratch, file_op.like(op.output, dtype="int32"))
    return op.scratch


def loads(ops, plan, keep, ends):
    """Bytes of arena up to the top of the live buffers at each op.

    Args:
        ops: list of `FileOp`.
        plan: the `memory.Plan` of their tensors.
        keep: bool array, shape `(graph.size,)`.
        ends: `int`, how many inputs and outputs the model has.

    Returns:
        Int array of the size of `plan.running`.
    """
    sizes = [bytes_of(buffer, keep) for buffer in plan.buffers]
    lives = [(b.first, b.last) for b in plan.buffers]
    tops = np.zeros(len(plan.running), np.int64)
    starts = memory.offsets(sizes, lives)
    for start, size, (first, last) in zip(starts, sizes, lives, strict=True):
        part = tops[first : last + 1]
        np.maximum(part, start + size, out=part)
    made = sum(op.times * len(op.outputs) for op in ops) + ends
    constants = sum(op.times * _constants(op) for op in ops)
    kept = _INTERPRETER + _TENSOR * (made + constants)
    kept += sum(op.times * _recorded(op) for op in ops)
    requests = least = 0
    for op in ops:  # Each prepares when those before it have done so.
        kept += op.times * _prepared(op, keep)
        head = _REQUEST * (requests + _REQUESTS)
        least = max(least, kept + head + _requested(op, keep))
        requests += op.times * _requests(op)
    kept = _aligned(kept + 4 * requests)
    planning = _REQUEST * (requests + _REQUESTS)
    planning += _INFO * (made + constants + requests)
    planning += _PLANNED * (made + requests)
    least = max(least, kept + planning)
    kept += _aligned(_END * ends)
    # Aligning the start of the arena may lose some bytes.
    return np.maximum(tops + kept, _aligned(least)) + ALIGNMENT


def bytes_of(buffer, keep):
    """Bytes of arena that a `memory.Buffer` takes, `int`."""
    return _aligned(max(_bytes(tensor, keep) for tensor in buffer.tensors))


def channels(op, keep):
    """How many outputs a kernel has at each place, `int`."""
    parts = op.output.parts or (1,)
    found = (p for p in parts if not isinstance(p, int))
    return memory.count(next(found, parts[-1]), keep)


def _constants(op):
    if op.in_time:  # They are those of all steps, but for the biases.
        return int(op.kind in file_op.WITH_KERNEL)
    if op.kind in _WITH_CONSTANT:
        return int(len(op.inputs) == 1)
    return _CONSTANTS.get(op.kind, 0)


def _requests(op):
    """How many scratch buffers the kernel of an op requests."""
    return _SCRATCH.get(op.kind, 0)


def _recorded(op):
    """Bytes of an op's node, parameters and record."""
    record = kernel_records.RECORDS.get(op.kind, 0)
    return _NODE + kernel_records.PARAMS.get(op.kind, 0) + _aligned(record)


def _prepared(op, keep):
    """Bytes that an op keeps when it prepares."""
    if op.kind == file_op.LSTM:
        units = channels(op, keep)
        return _aligned(units) + _aligned(2 * units)  # the states
    if op.kind in file_op.WITH_KERNEL:
        return 2 * _aligned(4 * channels(op, keep))  # the scales
    if op.kind == "BATCH_MATMUL":  # It keeps its second input, turned.
        return 3 * ALIGNMENT + _aligned(_bytes(op.inputs[-1], keep))
    if op.kind in ("GATHER", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH"):
        return 2 * ALIGNMENT  # a shape
    return 0


def _requested(op, keep):
    """Bytes of an op's tensors while it prepares."""
    count = len(op.inputs) + len(op.outputs) + _constants(op)
    size = _PREPARED * count
    if op.kind not in file_op.WITH_KERNEL:
        return 2 * size if op.kind in _PREPARED_TWICE else size
    scales = 4 * channels(op, keep)
    if op.kind == file_op.DENSE:
        return size + 2 * scales
    return 2 * size + 3 * scales


def _bytes(tensor, keep):
    """Bytes of a tensor; floats take one byte, other numbers stay."""
    floats = tensor.dtype.startswith(("float", "bfloat"))
    size = 1 if floats else memory.itemsize(tensor.dtype)
    return size * math.prod(memory.sizes(tensor, keep))


def _aligned(count):
    return -(-count // ALIGNMENT) * ALIGNMENT
