"""Residual networks for small images.

Deep Residual Learning for Image Recognition.
K. He, X. Zhang, S. Ren, J. Sun, 2015. https://arxiv.org/abs/1512.03385
"""

import keras

from tfprune.zoo import blocks

_STAGES = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
}


def resnet_cifar(
    depth,
    shortcut="A",
    width=16,
    widths=None,
    classes=10,
    input_shape=(32, 32, 3),
    activation=None,
    name=None,
):
    """The CIFAR ResNet of depth 6n + 2: three stages of n basic blocks.

    Widths inside blocks can be set individually, to build published pruned
    networks.

    Args:
        depth: 20, 32, 44, 56, 110 or another `int` of the form 6n + 2.
        shortcut: Shortcut of blocks that change the shape: `"A"` takes every
            second pixel and pads with zero channels on both sides, `"B"` is a
            1x1 convolution with batch normalization. `"none"` builds the
            plain network, without any shortcuts.
        width: Channels of the first stage; the others have two and four
            times as many.
        widths: Output channels of every block's first convolution, 3n
            `int`s; by default those of the block's stage.
        classes: Number of classes.
        input_shape: `(height, width, channels)`.
        activation: Activation of the last layer; by default logits.
        name: Model name, by default `resnet<depth>`.

    Returns:
        A functional `keras.Model`. Layers are called
        `stage<1..3>_block<0..n-1>_<conv1|bn1|relu1|conv2|bn2|...>`.

    Raises:
        ValueError: If depth, shortcut or widths do not fit.

    Example:

    >>> model = resnet_cifar(20)
    >>> model.get_layer("stage2_block0_conv1").filters
    32

    Reference:
        Section 4.2 of the paper above.
    """
    if shortcut not in _SHORTCUTS:
        raise ValueError(
            f"`shortcut` must be one of {', '.join(_SHORTCUTS)}. "
            f"Received: shortcut={shortcut!r}."
        )
    count = _blocks_per_stage(depth)
    outer = [width * 2 ** (i // count) for i in range(3 * count)]
    inner = blocks.checked_widths(widths, outer, "block")
    inputs = keras.Input(input_shape, name="image")
    x = _stem(inputs, width)
    for i, (filters, hidden) in enumerate(zip(outer, inner, strict=True)):
        stage, block = divmod(i, count)
        strides = 2 if stage > 0 and block == 0 else 1
        prefix = f"stage{stage + 1}_block{block}"
        x = _basic(x, filters, strides, prefix, hidden, _SHORTCUTS[shortcut])
    outputs = blocks.head(x, classes, activation)
    return keras.Model(inputs, outputs, name=name or f"resnet{depth}")


def plain_cifar(depth=20, name=None, **kwargs):
    """`resnet_cifar` without shortcuts, the plain network of the paper.

    Args:
        depth: As in `resnet_cifar`.
        name: Model name, by default `plain<depth>`.
        **kwargs: Other arguments of `resnet_cifar`, except `shortcut`.

    Returns:
        A functional `keras.Model`.
    """
    return resnet_cifar(
        depth, shortcut="none", name=name or f"plain{depth}", **kwargs
    )


def resnet(
    depth=18,
    width=64,
    classes=10,
    input_shape=(32, 32, 3),
    activation=None,
    name=None,
):
    """The ImageNet ResNet on small images: 3x3 stem, no max pooling.

    Bottleneck blocks have their stride at the 3x3 convolution; shortcuts that
    change the shape are 1x1 convolutions with batch normalization.

    Args:
        depth: 18, 34 (basic blocks) or 50 (bottleneck blocks).
        width: Channels of the first stage, before the bottleneck's
            expansion by four; each further stage doubles them.
        classes: Number of classes.
        input_shape: `(height, width, channels)`.
        activation: Activation of the last layer; by default logits.
        name: Model name, by default `resnet<depth>`.

    Returns:
        A functional `keras.Model`, its layers named as in `resnet_cifar`.

    Raises:
        ValueError: If the depth is unknown.
    """
    if depth not in _STAGES:
        raise ValueError(
            f"`depth` must be one of {sorted(_STAGES)}. "
            f"Received: depth={depth!r}. For 6n + 2 layers use "
            "`resnet_cifar`."
        )
    kind, counts = _STAGES[depth]
    inputs = keras.Input(input_shape, name="image")
    x = _stem(inputs, width)
    for stage, count in enumerate(counts):
        for block in range(count):
            strides = 2 if stage > 0 and block == 0 else 1
            prefix = f"stage{stage + 1}_block{block}"
            x = _BLOCKS[kind](x, width * 2**stage, strides, prefix)
    outputs = blocks.head(x, classes, activation)
    return keras.Model(inputs, outputs, name=name or f"resnet{depth}")


def _blocks_per_stage(depth):
    if not isinstance(depth, int) or depth < 8 or depth % 6 != 2:
        raise ValueError(
            "`depth` must be an int of the form 6n + 2, at least 8. "
            f"Received: depth={depth!r}. Use 20, 32, 44, 56 or 110."
        )
    return (depth - 2) // 6


def _stem(x, filters):
    x = blocks.conv(x, filters, 3, name="stem_conv")
    x = blocks.batch_norm(x, name="stem_bn")
    return blocks.relu(x, name="stem_relu")


def _subsample(x, filters, strides, prefix):
    """Option A: every `strides`-th pixel, zero channels on both sides."""
    del prefix
    x = x[:, ::strides, ::strides, :]
    missing = filters - x.shape[-1]
    before = missing // 2
    return keras.ops.pad(
        x, ((0, 0), (0, 0), (0, 0), (before, missing - before))
    )


def _project(x, filters, strides, prefix):
    """Option B: a 1x1 convolution with batch normalization."""
    x = blocks.conv(x, filters, 1, strides, name=f"{prefix}_shortcut_conv")
    return blocks.batch_norm(x, name=f"{prefix}_shortcut_bn")


def _basic(x, filters, strides, prefix, hidden=None, shortcut=_project):
    """Two 3x3 convolutions; no shortcut if `shortcut` is `None`."""
    hidden = hidden or filters
    y = blocks.conv(x, hidden, 3, strides, name=f"{prefix}_conv1")
    y = blocks.batch_norm(y, name=f"{prefix}_bn1")
    y = blocks.relu(y, name=f"{prefix}_relu1")
    y = blocks.conv(y, filters, 3, name=f"{prefix}_conv2")
    y = blocks.batch_norm(y, name=f"{prefix}_bn2")
    if shortcut is not None:
        y = _join(x, y, strides, prefix, shortcut)
    return blocks.relu(y, name=f"{prefix}_relu2")


def _bottleneck(x, filters, strides, prefix):
    """1x1, 3x3 and 1x1 convolutions, the last four times as wide."""
    y = blocks.conv(x, filters, 1, name=f"{prefix}_conv1")
    y = blocks.batch_norm(y, name=f"{prefix}_bn1")
    y = blocks.relu(y, name=f"{prefix}_relu1")
    y = blocks.conv(y, filters, 3, strides, name=f"{prefix}_conv2")
    y = blocks.batch_norm(y, name=f"{prefix}_bn2")
    y = blocks.relu(y, name=f"{prefix}_relu2")
    y = blocks.conv(y, 4 * filters, 1, name=f"{prefix}_conv3")
    y = blocks.batch_norm(y, name=f"{prefix}_bn3")
    y = _join(x, y, strides, prefix, _project)
    return blocks.relu(y, name=f"{prefix}_relu3")


def _join(x, y, strides, prefix, shortcut):
    """Adds `x` to `y`, through the shortcut where the shapes differ."""
    if strides > 1 or x.shape[-1] != y.shape[-1]:
        x = shortcut(x, y.shape[-1], strides, prefix)
    return keras.layers.Add(name=f"{prefix}_add")([y, x])


_SHORTCUTS = {"A": _subsample, "B": _project, "none": None}
_BLOCKS = {"basic": _basic, "bottleneck": _bottleneck}
