"""Densely connected networks for small images.

Densely Connected Convolutional Networks.
G. Huang, Z. Liu, L. van der Maaten, K. Weinberger, 2016.
https://arxiv.org/abs/1608.06993
"""

import keras

from tfprune.zoo import blocks


def densenet_bc(
    depth=100,
    growth=12,
    compression=0.5,
    classes=10,
    input_shape=(32, 32, 3),
    activation=None,
    name=None,
):
    """DenseNet with bottlenecks and compression: three dense blocks.

    Args:
        depth: 100 or another `int` of the form 6n + 4; a dense block has n
            layers of a 1x1 and a 3x3 convolution.
        growth: Channels that each layer adds.
        compression: Fraction of its channels that a transition keeps,
            rounded down.
        classes: Number of classes.
        input_shape: `(height, width, channels)`.
        activation: Activation of the last layer; by default logits.
        name: Model name, by default `densenet_bc<depth>`.

    Returns:
        A functional `keras.Model`. Layers are called
        `dense<1..3>_layer<0..n-1>_<bn1|relu1|conv1|...>`.

    Raises:
        ValueError: If the depth or the compression does not fit.
    """
    if depth < 10 or depth % 6 != 4:
        raise ValueError(
            "`depth` must be of the form 6n + 4, at least 10. "
            f"Received: depth={depth!r}. Take 40, 100 or 190."
        )
    if not 0 < compression <= 1:
        raise ValueError(
            "`compression` must be in (0, 1]. "
            f"Received: compression={compression!r}."
        )
    inputs = keras.Input(input_shape, name="image")
    x = blocks.conv(inputs, 2 * growth, 3, name="stem_conv")
    for block in range(1, 4):
        for layer in range((depth - 4) // 6):
            x = _dense_layer(x, growth, f"dense{block}_layer{layer}")
        if block < 3:
            kept = int(x.shape[-1] * compression)
            x = _transition(x, kept, f"transition{block}")
    x = blocks.batch_norm(x, name="final_bn")
    x = blocks.relu(x, name="final_relu")
    outputs = blocks.head(x, classes, activation)
    return keras.Model(inputs, outputs, name=name or f"densenet_bc{depth}")


def _dense_layer(x, growth, prefix):
    y = blocks.batch_norm(x, name=f"{prefix}_bn1")
    y = blocks.relu(y, name=f"{prefix}_relu1")
    y = blocks.conv(y, 4 * growth, 1, name=f"{prefix}_conv1")
    y = blocks.batch_norm(y, name=f"{prefix}_bn2")
    y = blocks.relu(y, name=f"{prefix}_relu2")
    y = blocks.conv(y, growth, 3, name=f"{prefix}_conv2")
    return keras.layers.Concatenate(name=f"{prefix}_concat")([x, y])


def _transition(x, filters, prefix):
    x = blocks.batch_norm(x, name=f"{prefix}_bn")
    x = blocks.relu(x, name=f"{prefix}_relu")
    x = blocks.conv(x, filters, 1, name=f"{prefix}_conv")
    return keras.layers.AveragePooling2D(2, name=f"{prefix}_pool")(x)
