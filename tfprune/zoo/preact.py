"""Residual networks with normalization and activation before convolutions.

Identity Mappings in Deep Residual Networks.
K. He, X. Zhang, S. Ren, J. Sun, 2016. https://arxiv.org/abs/1603.05027
"""

import keras

from tfprune.zoo import blocks


def preact_resnet(
    depth=18,
    width=64,
    classes=10,
    input_shape=(32, 32, 3),
    activation=None,
    name=None,
):
    """ResNet-18 or -34 with pre-activation, for small images.

    Args:
        depth: 18 or 34.
        width: Channels of the stem and the first stage; each further stage
            doubles them.
        classes: Number of classes.
        input_shape: `(height, width, channels)`.
        activation: Activation of the last layer; by default logits.
        name: Model name, by default `preact_resnet<depth>`.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If the depth is unknown.
    """
    counts = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
    if depth not in counts:
        raise ValueError(
            f"`depth` must be one of {sorted(counts)}. "
            f"Received: depth={depth!r}."
        )
    inputs = keras.Input(input_shape, name="image")
    x = blocks.conv(inputs, width, 3, name="stem_conv")
    for stage, count in enumerate(counts[depth]):
        x = _stage(x, width * 2**stage, count, stage, dropout=0.0)
    outputs = _head(x, classes, activation)
    return keras.Model(inputs, outputs, name=name or f"preact_resnet{depth}")


def wide_resnet(
    depth=28,
    widen=10,
    dropout=0.0,
    classes=10,
    input_shape=(32, 32, 3),
    activation=None,
    name=None,
):
    """The wide ResNet of depth 6n + 4: three stages of n blocks.

    Args:
        depth: 28, 16, 40 or another `int` of the form 6n + 4.
        widen: Stages have 16, 32 and 64 times this many channels.
        dropout: Rate between the convolutions of a block, 0 for none.
        classes: Number of classes.
        input_shape: `(height, width, channels)`.
        activation: Activation of the last layer; by default logits.
        name: Model name, by default `wide_resnet<depth>_<widen>`.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If the depth does not fit.

    Reference:
        Wide Residual Networks. S. Zagoruyko, N. Komodakis, 2016.
        https://arxiv.org/abs/1605.07146
    """
    if depth < 10 or depth % 6 != 4:
        raise ValueError(
            "`depth` must be of the form 6n + 4, at least 10. "
            f"Received: depth={depth!r}. Take 16, 22, 28 or 40."
        )
    inputs = keras.Input(input_shape, name="image")
    x = blocks.conv(inputs, 16, 3, name="stem_conv")
    for stage in range(3):
        x = _stage(x, 16 * widen * 2**stage, (depth - 4) // 6, stage, dropout)
    outputs = _head(x, classes, activation)
    name = name or f"wide_resnet{depth}_{widen}"
    return keras.Model(inputs, outputs, name=name)


def _stage(x, filters, count, stage, dropout):
    for block in range(count):
        strides = 2 if stage > 0 and block == 0 else 1
        prefix = f"stage{stage + 1}_block{block}"
        x = _block(x, filters, strides, dropout, prefix)
    return x


def _block(x, filters, strides, dropout, prefix):
    y = blocks.batch_norm(x, name=f"{prefix}_bn1")
    y = blocks.relu(y, name=f"{prefix}_relu1")
    if strides > 1 or x.shape[-1] != filters:
        # The projection reads the activated map, like the convolution.
        x = blocks.conv(y, filters, 1, strides, name=f"{prefix}_shortcut_conv")
    y = blocks.conv(y, filters, 3, strides, name=f"{prefix}_conv1")
    y = blocks.batch_norm(y, name=f"{prefix}_bn2")
    y = blocks.relu(y, name=f"{prefix}_relu2")
    if dropout > 0:
        y = keras.layers.Dropout(dropout, name=f"{prefix}_dropout")(y)
    y = blocks.conv(y, filters, 3, name=f"{prefix}_conv2")
    return keras.layers.Add(name=f"{prefix}_add")([y, x])


def _head(x, classes, activation):
    x = blocks.batch_norm(x, name="final_bn")
    x = blocks.relu(x, name="final_relu")
    return blocks.head(x, classes, activation)
