"""Layers shared by the CIFAR networks, with the settings of the papers.

Tensors are channels last, `(batch, height, width, channels)`.
"""

import keras


def conv(x, filters, kernel_size, strides=1, *, name):
    """Adds a convolution without bias, He-normal, padded as in PyTorch.

    Args:
        x: Tensor `(B, H, W, C)`.
        filters: Output channels.
        kernel_size: An odd `int`.
        strides: An `int`.
        name: Layer name; a padding layer is called `<name>_pad`.

    Returns:
        Tensor `(B, ceil(H / strides), ceil(W / strides), filters)`.
    """
    padding = "same"
    if strides > 1 and kernel_size > 1:
        # Keras's "same" pads an even map by (0, 1); published weights were
        # trained with (1, 1).
        x = keras.layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def depthwise(x, kernel_size, strides=1, *, name):
    """Adds a depthwise convolution without bias, padded as in `conv`."""
    padding = "same"
    if strides > 1:
        x = keras.layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    return keras.layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=False,
        depthwise_initializer="he_normal",
        name=name,
    )(x)


def batch_norm(x, *, name):
    """Adds batch normalization with the constants of the published nets."""
    return keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, name=name
    )(x)


def relu(x, *, name):
    return keras.layers.ReLU(name=name)(x)


def head(x, classes, activation=None, *, name="logits"):
    """Adds global average pooling and the classifier, `(B, classes)`."""
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.layers.Dense(classes, activation=activation, name=name)(x)


def checked_widths(widths, default, unit):
    """Checks the requested widths, or returns `default` if there are none.

    Args:
        widths: Positive `int`s, one per unit, or `None`.
        default: Positive `int`s.
        unit: What each width belongs to, for the error ("block").

    Returns:
        A `list` of `int`s.

    Raises:
        ValueError: If the count is wrong or a width is not positive.
    """
    if widths is None:
        return list(default)
    given = list(widths)
    widths = [int(width) for width in given]
    whole = widths == given
    if not whole or len(widths) != len(default) or min(widths) < 1:
        raise ValueError(
            f"`widths` must hold one positive int per {unit}, "
            f"{len(default)} in all. "
            f"Received: {len(given)} widths, widths={given}."
        )
    return widths
