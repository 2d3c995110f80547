"""Scratch buffers of ESP-NN's kernels.

The assembly for the ESP32-S3 ("vector") copies inputs and kernels into them;
the C code for other chips needs none. https://github.com/espressif/esp-nn,
`esp_nn_get_*_scratch_size_esp32s3`.
"""

_ALIGNED = 64


def convolution(window, extension):
    """Scratch bytes of an int8 convolution, a `cmsis_scratch.Window`."""
    if extension == "plain":
        return 0
    height, width, channels = window.inputs
    rows, columns = window.kernel[:2]
    out = window.outputs[2]
    if (
        (rows, columns, *window.padding) == (1, 1, 0, 0)
    ) and window.strides == (1, 1):
        whole = _up(channels, 8)
        pixels = width * height
        copied = pixels * whole if channels % 8 else 0
        turned = 16 * whole if pixels >= 8 else 0
        return copied + whole * out + turned + _ALIGNED
    length = rows * columns * channels
    if columns * channels < 16 <= length:
        length = _up(length, 16)
        return 4 * out + 32 + out * length + length + _ALIGNED
    top, left = window.padding
    padded = 0
    if top or left:
        padded = (width + 2 * left) * (height + 2 * top) * channels
    kernel = rows * columns * _up(channels, 16) * out
    aligned = _up(columns * channels, 16) * rows * out
    below, right = (
        max(0, o * s + k - 1 - i)
        for i, o, k, s in zip(
            window.inputs[:2],
            window.outputs[:2],
            window.kernel[:2],
            window.strides,
            strict=True,
        )
    )
    edge = 0
    if below or right:
        edge = (width + right) * (height + below) * channels
    return padded + kernel + aligned + edge + _ALIGNED + 4 * out


def depthwise(window, extension):
    """Scratch bytes of an int8 depthwise convolution."""
    if extension == "plain":
        return 0
    height, width, channels = window.inputs
    rows, columns = window.kernel[:2]
    multiplier = window.depth_multiplier
    kernel = rows * columns * channels * multiplier
    pixels = height * width
    if multiplier == 1 and channels % 8 == 0:
        if (rows, columns) != (3, 3):
            whole = 2 * (kernel + pixels * channels)
            strip = 2 * kernel + 2 * width * rows * channels
            return (whole if whole <= 48 * 1024 else strip) + 32
        return _three_by_three(window, kernel)
    if multiplier == 1 and channels > 3:
        whole = _up(channels, 8)
        size = _up(2 * rows * columns * whole, 16)
        size = _up(size + 2 * pixels * whole, 16)
        size = _up(size + window.outputs[0] * window.outputs[1] * whole, 16)
        return size + 12 * whole + 16
    if multiplier % 4 == 0:
        return 2 * (kernel + pixels * channels) + 32
    return 32


def _three_by_three(window, kernel):
    height, width, channels = window.inputs
    top, left = window.padding
    rows_out, columns_out = window.outputs[:2]
    vertical, horizontal = window.strides
    if channels % 16 == 0:
        if top or left:
            tall, wide = 2 * top, 2 * left
        else:
            tall = rows_out * vertical + 2 - height
            wide = columns_out * horizontal + 2 - width
        if not (tall or wide):
            return kernel + 16
        whole = (width + wide) * (height + tall) * channels
        strip = (width + wide) * 3 * channels
        return kernel + (whole if whole <= 40 * 1024 else strip) + 16
    if channels >= 12:
        padded = _up(channels, 16)
        wide = 2 * left + max(0, columns_out * horizontal + 2 - width)
        tall = 2 * top + max(0, rows_out * vertical + 2 - height)
        return (
            9 * padded
            + (width + wide) * (height + tall) * padded
            + rows_out * columns_out * padded
            + _ALIGNED
        )
    return 2 * (kernel + height * width * channels) + 32


def _up(count, step):
    return -(-count // step) * step
