"""The tensor arena of TFLite Micro for the ops of an int8 file, predicted.

`export.micro.arena` computes it for a file at hand, step by step. Here the same
numbers are added up for ops without a file: how many constants each has is told
from its kind.
"""

import math

import numpy as np

from tfprune.costs import file_scratch
from tfprune.costs import memory
from tfprune.costs.kernels import kernel_records
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
# Scratch buffers of kernels besides one; those of axes and indices are small.
_REQUESTED = {
    "MEAN": 3,
    "SUM": 3,
    "REDUCE_MAX": 2,
    "REDUCE_MIN": 2,
    "TRANSPOSE_CONV": 1,
    file_op.LSTM: 4,
}


def held(op):
    """What an op holds while it runs, a tuple of `Made`."""
    if op.kind in _SUMS:
        return (*op.scratch, file_op.like(op.output, dtype="int32"))
    return op.scratch


def loads(ops, plan, keep, ends, kernels):
    """Bytes of arena up to the top of the live buffers at each op.

    Args:
        ops: list of `FileOp`.
        plan: the `memory.Plan` of their tensors.
        keep: bool array, shape `(graph.size,)`.
        ends: `int`, how many inputs and outputs the model has.
        kernels: list of `(library, extension)` that may run.

    Returns:
        Int array of the size of `plan.running`.
    """
    scratch = scratch_bytes(ops, keep, kernels)
    kept, least = _kept(ops, scratch, keep, ends, kernels)
    # Aligning the start of the arena may lose some bytes.
    return np.maximum(_tops(plan, scratch, keep) + kept, least) + ALIGNMENT


def scratch_bytes(ops, keep, kernels):
    """Bytes of arena of the scratch buffer of each op, a list of `int`."""
    return [_aligned(file_scratch.bytes_of(op, keep, kernels)) for op in ops]


def _tops(plan, scratch, keep):
    """Up to where the live buffers reach at each op, an int array."""
    sizes = [bytes_of(buffer, keep) for buffer in plan.buffers]
    lives = [(b.first, b.last) for b in plan.buffers]
    sizes += scratch
    lives += [(now, now) for now in range(1, len(scratch) + 1)]
    tops = np.zeros(len(plan.running), np.int64)
    starts = memory.offsets(sizes, lives)
    for start, size, (first, last) in zip(starts, sizes, lives, strict=True):
        part = tops[first : last + 1]
        np.maximum(part, start + size, out=part)
    return tops


def _kept(ops, scratch, keep, ends, kernels):
    """Bytes that stay, and those that are needed before the first inference.

    Returns:
        `(kept, least)`: `int`s.
    """
    made = sum(op.times * len(op.outputs) for op in ops) + ends
    constants = sum(op.times * _constants(op) for op in ops)
    kept = _INTERPRETER + _TENSOR * (made + constants)
    kept += sum(op.times * _recorded(op, kernels) for op in ops)
    requests = least = 0
    for op, size in zip(ops, scratch, strict=True):
        # Each prepares when those before it have done so.
        kept += op.times * _prepared(op, keep, kernels)
        head = _REQUEST * (requests + _REQUESTS)
        least = max(least, kept + head + _requested(op, keep))
        requests += op.times * (_REQUESTED.get(op.kind, 0) + bool(size))
    kept = _aligned(kept + 4 * requests)
    planning = _REQUEST * (requests + _REQUESTS)
    planning += _INFO * (made + constants + requests)
    planning += _PLANNED * (made + requests)
    least = max(least, kept + planning)
    return kept + _aligned(_END * ends), _aligned(least)


def bytes_of(buffer, keep):
    """Bytes of arena that a `memory.Buffer` takes, `int`."""
    return _aligned(
        max(tensor_bytes(tensor, keep) for tensor in buffer.tensors)
    )


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
    if op.kind == "SELECT_V2":
        return 3 - len(op.inputs)
    return _CONSTANTS.get(op.kind, 0)


def _recorded(op, kernels):
    """Bytes of an op's node, parameters and record."""
    record = _aligned(file_scratch.record(op, kernels))
    return _NODE + kernel_records.PARAMS.get(op.kind, 0) + record


def _prepared(op, keep, kernels):
    """Bytes that an op keeps when it prepares."""
    if op.kind == file_op.LSTM:
        units = channels(op, keep)
        states = _aligned(units) + _aligned(2 * units)
        return states + _aligned(file_scratch.kept(op, keep, kernels))
    if op.kind in file_op.WITH_KERNEL:
        scales = 2 * _aligned(4 * channels(op, keep))
        return scales + _aligned(file_scratch.kept(op, keep, kernels))
    if op.kind == "BATCH_MATMUL":  # It keeps its second input, turned.
        return 3 * ALIGNMENT + _aligned(tensor_bytes(op.inputs[-1], keep))
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


def tensor_bytes(tensor, keep):
    """Bytes of a `Tensor` or `Made` in the file, `int`."""
    size = memory.itemsize(file_op.dtype(tensor))
    return size * math.prod(memory.sizes(tensor, keep))


def _aligned(count):
    return -(-count // ALIGNMENT) * ALIGNMENT
