"""VGG with batch normalization for small images.

Very Deep Convolutional Networks for Large-Scale Image Recognition.
K. Simonyan, A. Zisserman, 2014. https://arxiv.org/abs/1409.1556
"""

import itertools

import keras

from tfprune.zoo import blocks

# Output channels of the convolutions, group by group.
_GROUPS = {
    16: ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3),
    19: ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4),
}


def vgg(
    depth=16,
    widths=None,
    hidden=512,
    classes=10,
    input_shape=(32, 32, 3),
    activation=None,
    name=None,
):
    """VGG-BN: five groups of 3x3 convolutions, each followed by max pooling.

    Convolutions have no bias because batch normalization follows each.

    Args:
        depth: 16 or 19.
        widths: Output channels of every convolution (13 or 16 `int`s); by
            default the paper's 64 to 512.
        hidden: Units of the hidden dense layer, which batch normalization
            follows; `None` connects the last pooling directly to the
            classifier.
        classes: Number of classes.
        input_shape: `(height, width, channels)`, height and width at least
            32.
        activation: Activation of the last layer; by default logits.
        name: Model name, by default `vgg<depth>`.

    Returns:
        A functional `keras.Model`. Layers are called `conv1`, `bn1`,
        `relu1` and so on, `fc`, `logits`.

    Raises:
        ValueError: If depth or widths do not fit.

    Example:

    >>> vgg(16).get_layer("conv13").filters
    512

    Reference:
        The 512-unit head: Pruning Filters for Efficient ConvNets, H. Li et
        al., 2016. https://arxiv.org/abs/1608.08710
    """
    if depth not in _GROUPS:
        raise ValueError(
            f"`depth` must be one of {sorted(_GROUPS)}. "
            f"Received: depth={depth!r}."
        )
    default = itertools.chain.from_iterable(_GROUPS[depth])
    widths = blocks.checked_widths(widths, list(default), "convolution")
    convs = enumerate(widths, start=1)
    inputs = x = keras.Input(input_shape, name="image")
    for number, group in enumerate(_GROUPS[depth], start=1):
        for index, filters in itertools.islice(convs, len(group)):
            x = blocks.conv(x, filters, 3, name=f"conv{index}")
            x = blocks.batch_norm(x, name=f"bn{index}")
            x = blocks.relu(x, name=f"relu{index}")
        x = keras.layers.MaxPooling2D(name=f"pool{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    if hidden is not None:
        x = keras.layers.Dense(
            hidden, kernel_initializer="he_normal", name="fc"
        )(x)
        x = blocks.batch_norm(x, name="fc_bn")
        x = blocks.relu(x, name="fc_relu")
    logits = keras.layers.Dense(classes, activation=activation, name="logits")
    return keras.Model(inputs, logits(x), name=name or f"vgg{depth}")
