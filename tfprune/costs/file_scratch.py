"""What the kernels of a core hold for the ops of an int8 file.

Kernels are pairs, as `cores.variants` lists them. Where several may run, the
most counts for each op.
"""

import math

from tfprune.costs import memory
from tfprune.costs.kernels import cmsis_scratch
from tfprune.costs.kernels import esp_scratch
from tfprune.costs.kernels import kernel_records
from tfprune.graph.lowering import file_op

# Bytes of an LSTM's sums of weights, by unit.
_LSTM_SUMS = 4 * 8


def bytes_of(op, keep, kernels):
    """Bytes of an op's scratch buffer.

    Args:
        op: a `FileOp`.
        keep: bool array, shape `(graph.size,)`.
        kernels: list of `(library, extension)`.

    Returns:
        `int`, 0 if it needs none.
    """
    window = _window(op, keep) if op.kind in file_op.CONVOLUTIONS else None
    made = memory.sizes(op.output, keep) or [1]
    found = [0]
    if op.kind == "TRANSPOSE_CONV":
        # The reference kernel adds products up in integers of 32 bits.
        found = [4 * math.prod(made)]
    for library, extension in kernels:
        if library == "cmsis-nn":
            found.append(_cmsis(op, keep, window, made, extension))
        elif library == "esp-nn":
            found.append(_esp(op, window, made, extension))
    return max(found)


def _cmsis(op, keep, window, made, extension):
    if op.kind == "CONV_2D":
        return cmsis_scratch.convolution(window, extension)
    if op.kind == "DEPTHWISE_CONV_2D":
        return cmsis_scratch.depthwise(window, extension)
    if op.kind == "TRANSPOSE_CONV":
        return sum(cmsis_scratch.transposed(window, extension))
    if op.kind == file_op.DENSE and _is_product_of_points(op, keep):
        return 4 * _depth(op, keep) * (extension == "dsp")
    if op.kind == "AVERAGE_POOL_2D":
        return 4 * made[-1] * (extension == "dsp")
    if op.kind == "BATCH_MATMUL":
        return 4 * made[-1] * (extension == "mve")
    return 0


def _esp(op, window, made, extension):
    if op.kind == "CONV_2D":
        return esp_scratch.convolution(window, extension)
    if op.kind == "DEPTHWISE_CONV_2D":
        return esp_scratch.depthwise(window, extension)
    return 4 * made[0] if op.kind == "SOFTMAX" else 0


def record(op, kernels):
    """Bytes of the record of an op's kernel, `int`."""
    found = [kernel_records.RECORDS.get(op.kind, 0)]
    for library, _ in kernels:
        own = kernel_records.OPTIMIZED.get(library, {})
        found.append(own.get(op.kind, 0))
    return max(found)


def kept(op, keep, kernels):
    """Bytes that an op keeps from inference to inference, `int`."""
    made = memory.sizes(op.output, keep) or [1]
    if op.kind == file_op.LSTM:
        return _LSTM_SUMS * made[-1] * any(k == "cmsis-nn" for k, _ in kernels)
    if ("cmsis-nn", "mve") not in kernels or op.kind != file_op.DENSE:
        return 0
    # The sums of its weights.
    return 4 * made[-1] * (not _is_product_of_points(op, keep))


def _depth(op, keep):
    """How many numbers a dense layer reads for each of its outputs."""
    made = max(1, memory.count(tuple(op.output.parts), keep))
    return (
        memory.work(op.work, keep) // made
        or memory.sizes(op.inputs[0], keep)[-1]
    )


def _is_product_of_points(op, keep):
    """Whether a dense layer runs as a convolution of single points."""
    return len(op.output.parts) > 1 and _depth(op, keep) % 4 == 0


def _window(op, keep):
    """The `cmsis_scratch.Window` of an op; a row is a map of height 1."""
    size, strides, gaps = (
        ((1, 1) + tuple(n))[-2:] for n in (op.window, op.strides, op.dilations)
    )
    x, y = (
        tuple([1, 1, *op.in_file(memory.sizes(tensor, keep))][-3:])
        for tensor in (op.inputs[0], op.output)
    )
    padding = (0, 0)
    if op.padded:
        total = (
            (made - 1) * step + (count - 1) * gap + 1 - given
            for given, made, count, step, gap in zip(
                x[:2], y[:2], size, strides, gaps, strict=True
            )
        )
        padding = tuple(max(0, n) // 2 for n in total)
    return cmsis_scratch.Window(
        inputs=x,
        kernel=(*size, max(1, x[-1] // op.groups)),
        outputs=y,
        strides=strides,
        dilations=gaps,
        padding=padding,
        depth_multiplier=max(1, y[-1] // max(1, x[-1])),
    )
