"""Scratch buffers of CMSIS-NN's kernels, by the extension of the core.

The sizes depend on the instructions that the compiler may use: "plain" code,
the DSP extension ("dsp") or the vector extension ("mve").
https://github.com/ARM-software/CMSIS-NN, Source/*/arm_*_get_buffer_sizes_*.c.
"""

import dataclasses

# Channels that the vector code of depthwise convolutions handles at a time.
_DEPTHWISE_BLOCK = 124
# With more output channels, a depthwise convolution of one input channel runs
# as a convolution.
_ONE_CHANNEL = 8
# With more input channels, a transposed convolution runs as a convolution with
# the reversed kernel.
_REVERSED = 16


@dataclasses.dataclass(frozen=True)
class Window:
    """The geometry of a convolution.

    Attributes:
        inputs, kernel, outputs: `(height, width, channels)`.
        strides, dilations: `(vertical, horizontal)`.
        padding: `(top, left)`.
        depth_multiplier: `int`, output channels per input channel of a
            depthwise convolution.
    """

    inputs: tuple
    kernel: tuple
    outputs: tuple
    strides: tuple
    dilations: tuple
    padding: tuple
    depth_multiplier: int = 1

    @classmethod
    def of(cls, op):
        """The `Window` of a `flat_ops.Op`."""
        x, weights, y = op.inputs[0], op.inputs[1], op.outputs[0]
        if op.kind == "TRANSPOSE_CONV":
            x = op.inputs[2]
        strides = op.option("strideH", 1), op.option("strideW", 1)
        dilations = (
            op.option("dilationHFactor", 1),
            op.option("dilationWFactor", 1),
        )
        kernel = weights.shape[1:]
        padding = (0, 0)
        if op.option("padding", 1) == 0:  # SAME
            total = (
                (o - 1) * s + (k - 1) * d + 1 - i
                for i, o, k, s, d in zip(
                    x.shape[1:3],
                    y.shape[1:3],
                    kernel,
                    strides,
                    dilations,
                    strict=False,
                )
            )
            padding = tuple(max(0, n) // 2 for n in total)
        return cls(
            inputs=x.shape[1:],
            kernel=kernel,
            outputs=y.shape[1:],
            strides=strides,
            dilations=dilations,
            padding=padding,
            depth_multiplier=op.option("depthMultiplier", 1),
        )


def convolution(window, extension):
    """Scratch bytes of an int8 convolution."""
    height, width, channels = window.inputs
    rows, columns, kernel_channels = window.kernel
    whole = kernel_channels == channels and window.dilations == (1, 1)
    if whole and (rows, columns) == (1, 1) and window.padding == (0, 0):
        # As compiled by GCC; Arm's own compiler takes another path.
        fast = window.strides == (1, 1) and extension == "dsp"
        return 4 * channels if fast else 0
    vertical, horizontal = window.strides
    flat = (
        height == rows == 1
        and window.dilations[1] == 1
        and kernel_channels == channels
        and horizontal * channels % 4 == 0
    )
    if flat and extension == "mve":
        return _one_by_n(window)
    return _columns(rows * columns * channels, extension)


def _columns(length, extension):
    """Bytes of the im2col columns that the matrix product reads."""
    if extension == "mve":
        return 4 * 16 * (-(-length // 16))
    return 4 * (-(-length // 4) * 4)


def _one_by_n(window):
    """Bytes of a 1 x n convolution, whose padded edges are computed apart."""
    _, width, channels = window.inputs
    columns, step = window.kernel[1], window.strides[1]
    pad, outputs = window.padding[1], window.outputs[1]
    odd = ((outputs - 1) * step + columns - width) % 2
    right = max(1, (pad + odd + step - 1) // step) if pad + odd else 0
    left = max(1, (pad + step - 1) // step) if pad else 0
    if right + left + max(outputs - right - left, 0) != outputs:
        return _columns(columns * channels, "mve")
    at_left = pad * channels
    at_right = right * channels if odd else at_left
    return max(
        columns * channels + at_left, (columns - 1) * channels + at_right
    )


def wide_convolution(window, extension):
    """Scratch bytes of an int16 convolution."""
    length = window.inputs[2] * window.kernel[0] * window.kernel[1]
    if extension == "mve":
        return 64 * (-(-length // 8))
    return 4 * length


def depthwise(window, extension):
    """Scratch bytes of an int8 depthwise convolution."""
    channels = window.inputs[2]
    rows, columns = window.kernel[:2]
    out = window.outputs[2]
    if extension == "mve" and channels == 1 and out > _ONE_CHANNEL:
        turned = dataclasses.replace(window, kernel=(rows, columns, 1))
        return convolution(turned, extension) + out * rows * columns
    if extension == "plain" or channels != out or window.dilations != (1, 1):
        return 0
    if extension == "mve":
        return 4 * _DEPTHWISE_BLOCK * rows * columns
    if (rows, columns) == (3, 3) and max(window.padding) <= 1:
        return 0
    return 2 * channels * rows * columns


def transposed(window, extension):
    """Bytes of the two scratch buffers of an int8 transposed convolution."""
    height, width, channels = window.inputs
    rows, columns = window.kernel[:2]
    vertical, horizontal = window.strides
    if max(window.strides) <= 2 and channels > _REVERSED:
        length = rows * columns * channels
        return [_columns(length, extension), length * window.outputs[2]]
    across = (width - 1) * horizontal + max(columns, vertical)
    return [4 * across * window.outputs[2] * max(rows, vertical), 0]
