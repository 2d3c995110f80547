"""LeNet-5 as in papers on compression.

Gradient-Based Learning Applied to Document Recognition. Y. LeCun, L. Bottou,
Y. Bengio, P. Haffner, 1998. Their network has 60,000 weights. The network
called LeNet-5 since Han et al., "Learning both Weights and Connections", 2015,
https://arxiv.org/abs/1506.02626, comes from Caffe's examples and has 431,080.
"""

import keras


def lenet5(
    filters=(20, 50),
    hidden=500,
    classes=10,
    input_shape=(28, 28, 1),
    name="lenet5",
):
    """Builds LeNet-5: two 5x5 convolutions without padding, two dense layers.

    As in Caffe, the convolutions have no activation; max pooling follows
    directly.

    Args:
        filters: Output channels of the two convolutions.
        hidden: Units of the hidden layer.
        classes: Number of classes.
        input_shape: `(height, width, channels)`, height and width at least
            16.
        name: Model name.

    Returns:
        A functional `keras.Model`, logits `(B, classes)`. Layers are called
        `conv1`, `pool1`, `conv2`, `pool2`, `flatten`, `fc1`, `logits`.

    Example:

    >>> lenet5().count_params()
    431080
    """
    inputs = x = keras.Input(input_shape, name="image")
    for number, count in enumerate(filters, start=1):
        x = keras.layers.Conv2D(count, 5, name=f"conv{number}")(x)
        x = keras.layers.MaxPooling2D(name=f"pool{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(hidden, activation="relu", name="fc1")(x)
    outputs = keras.layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, outputs, name=name)
