"""MobileNetV2 for small images.

MobileNetV2: Inverted Residuals and Linear Bottlenecks.
M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, 2018.
https://arxiv.org/abs/1801.04381
"""

import keras

from tfprune.zoo import blocks

# Expansion, output channels, blocks, stride of the first block. The paper
# also strides in the stem and in the second row, where 32x32 is too small.
_ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(
    width=1.0,
    classes=10,
    input_shape=(32, 32, 3),
    activation=None,
    name="mobilenet_v2",
):
    """MobileNetV2 whose last feature maps are an eighth of the image size.

    Args:
        width: Factor on all channels, which are rounded to multiples of 8.
        classes: Number of classes.
        input_shape: `(height, width, channels)`.
        activation: Activation of the last layer; by default logits.
        name: Model name.

    Returns:
        A functional `keras.Model`. Layers are called
        `block<0..16>_<expand|depthwise|project>_<conv|bn|relu>`.

    Raises:
        ValueError: If the width is not positive.
    """
    if width <= 0:
        raise ValueError(
            f"`width` must be positive. Received: width={width!r}."
        )
    inputs = keras.Input(input_shape, name="image")
    x = _conv(inputs, _rounded(32 * width), 3, "stem")
    index = 0
    for expansion, filters, count, strides in _ROWS:
        for block in range(count):
            x = _inverted_residual(
                x,
                expansion * x.shape[-1],
                _rounded(filters * width),
                strides if block == 0 else 1,
                f"block{index}",
            )
            index += 1
    # The paper widens the last convolution, but never narrows it.
    x = _conv(x, _rounded(1280 * max(1.0, width)), 1, "last")
    outputs = blocks.head(x, classes, activation)
    return keras.Model(inputs, outputs, name=name)


def _rounded(channels):
    """Rounds to a multiple of 8 that loses at most a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _conv(x, filters, kernel_size, prefix):
    x = blocks.conv(x, filters, kernel_size, name=f"{prefix}_conv")
    return _bn_relu6(x, prefix)


def _bn_relu6(x, prefix):
    x = blocks.batch_norm(x, name=f"{prefix}_bn")
    return keras.layers.ReLU(6.0, name=f"{prefix}_relu")(x)


def _inverted_residual(x, hidden, filters, strides, prefix):
    y = x
    if hidden != x.shape[-1]:
        y = _conv(y, hidden, 1, f"{prefix}_expand")
    y = blocks.depthwise(y, 3, strides, name=f"{prefix}_depthwise_conv")
    y = _bn_relu6(y, f"{prefix}_depthwise")
    y = blocks.conv(y, filters, 1, name=f"{prefix}_project_conv")
    y = blocks.batch_norm(y, name=f"{prefix}_project_bn")
    if strides > 1 or x.shape[-1] != filters:
        return y
    return keras.layers.Add(name=f"{prefix}_add")([x, y])
