"""The four reference networks of MLPerf Tiny, with their layer names.

MLPerf Tiny Benchmark. C. Banbury et al., 2021.
https://arxiv.org/abs/2106.07597, https://github.com/mlcommons/tiny

Convolutions have a bias as well as batch normalization, padding is "same", the
classifiers end in softmax and kernels have the references' L2 penalty.
"""

import keras

_L2 = 1e-4


def resnet8(width=16, classes=10, input_shape=(32, 32, 3), name="resnet8"):
    """Image classification: three residual blocks, 1x1 shortcuts.

    The input is raw pixels from 0 to 255.

    Args:
        width: Channels of the first block; the others have two and four
            times as many.
        classes: Number of classes.
        input_shape: `(height, width, channels)`.
        name: Model name.

    Returns:
        A functional `keras.Model`, probabilities `(B, classes)`.
    """
    layers = _Layers()
    inputs = keras.Input(input_shape, name="input_1")
    x = layers.conv_bn_relu(inputs, width, 3)
    for stage in range(3):
        filters, strides = width * 2**stage, 1 if stage == 0 else 2
        y = layers.conv_bn_relu(x, filters, 3, strides)
        y = layers.batch_norm(layers.conv(y, filters, 3))
        if stage > 0:
            x = layers.conv(x, filters, 1, strides)
        x = layers.add(keras.layers.Add, "add")([x, y])
        x = layers.relu(x)
    outputs = layers.classifier(x, classes, "he_normal")
    return keras.Model(inputs, outputs, name=name)


def ds_cnn(width=64, classes=12, input_shape=(49, 10, 1), name="ds_cnn"):
    """Keyword spotting: a 10x4 convolution, four depthwise-separable ones.

    The input is MFCC features, `(frames, coefficients, 1)`.

    Args:
        width: Channels of every layer.
        classes: Number of classes.
        input_shape: `(frames, coefficients, 1)`.
        name: Model name.

    Returns:
        A functional `keras.Model`, probabilities `(B, classes)`.
    """
    layers = _Layers(initializer="glorot_uniform")
    inputs = keras.Input(input_shape, name="input_1")
    x = layers.conv_bn_relu(inputs, width, (10, 4), 2)
    x = layers.add(keras.layers.Dropout, "dropout", rate=0.2)(x)
    for _ in range(4):
        x = layers.depthwise_bn_relu(x)
        x = layers.conv_bn_relu(x, width, 1)
    x = layers.add(keras.layers.Dropout, "dropout", rate=0.4)(x)
    outputs = layers.classifier(x, classes, "glorot_uniform")
    return keras.Model(inputs, outputs, name=name)


def mobilenet_v1(
    width=8, classes=2, input_shape=(96, 96, 3), name="mobilenet_v1_025"
):
    """Visual wake words: MobileNetV1 at a quarter of its width.

    Args:
        width: Channels of the first layer; 8 is the reference, 32 would be
            MobileNetV1 at full width.
        classes: Number of classes.
        input_shape: `(height, width, channels)`.
        name: Model name.

    Returns:
        A functional `keras.Model`, probabilities `(B, classes)`.
    """
    layers = _Layers()
    inputs = keras.Input(input_shape, name="input_1")
    x = layers.conv_bn_relu(inputs, width, 3, 2)
    for factor, strides in _SEPARABLE:
        x = layers.depthwise_bn_relu(x, strides)
        x = layers.conv_bn_relu(x, width * factor, 1)
    outputs = layers.classifier(x, classes, "glorot_uniform")
    return keras.Model(inputs, outputs, name=name)


def autoencoder(features=640, hidden=128, code=8, name="anomaly_autoencoder"):
    """Anomaly detection: dense layers down to a code and up again.

    Args:
        features: Length of the input and of the output.
        hidden: Units of the four layers on either side of the code.
        code: Units in the middle.
        name: Model name.

    Returns:
        A functional `keras.Model`, reconstructions `(B, features)`.
    """
    inputs = x = keras.Input((features,), name="input_1")
    units = [hidden] * 4 + [code] + [hidden] * 4
    for i, width in enumerate(units, start=1):
        x = keras.layers.Dense(width, name=f"Dense_{i}")(x)
        x = keras.layers.BatchNormalization(name=f"Batch_Normalization_{i}")(x)
        x = keras.layers.Activation("relu", name=_numbered("activation", i))(x)
    outputs = keras.layers.Dense(features, name="dense")(x)
    return keras.Model(inputs, outputs, name=name)


# Output width as a multiple of the first layer's, and the stride.
_SEPARABLE = (
    (2, 1),
    (4, 2),
    (4, 1),
    (8, 2),
    (8, 1),
    (16, 2),
    (16, 1),
    (16, 1),
    (16, 1),
    (16, 1),
    (16, 1),
    (32, 2),
    (32, 1),
)


def _numbered(stem, count):
    """The `count`-th (from 1) default name in Keras."""
    return stem if count == 1 else f"{stem}_{count - 1}"


class _Layers:
    """Makes layers and numbers their names as the references do."""

    def __init__(self, initializer="he_normal"):
        self.initializer = initializer
        self._counts = {}

    def add(self, layer_class, stem, **kwargs):
        self._counts[stem] = self._counts.get(stem, 0) + 1
        name = _numbered(stem, self._counts[stem])
        return layer_class(name=name, **kwargs)

    def conv(self, x, filters, kernel_size, strides=1):
        return self.add(
            keras.layers.Conv2D,
            "conv2d",
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding="same",
            kernel_initializer=self.initializer,
            kernel_regularizer=keras.regularizers.L2(_L2),
        )(x)

    def batch_norm(self, x):
        norm = self.add(keras.layers.BatchNormalization, "batch_normalization")
        return norm(x)

    def relu(self, x):
        return self.add(
            keras.layers.Activation, "activation", activation="relu"
        )(x)

    def conv_bn_relu(self, x, filters, kernel_size, strides=1):
        x = self.conv(x, filters, kernel_size, strides)
        return self.relu(self.batch_norm(x))

    def depthwise_bn_relu(self, x, strides=1):
        x = self.add(
            keras.layers.DepthwiseConv2D,
            "depthwise_conv2d",
            kernel_size=3,
            strides=strides,
            padding="same",
            depthwise_initializer=self.initializer,
            depthwise_regularizer=keras.regularizers.L2(_L2),
        )(x)
        return self.relu(self.batch_norm(x))

    def classifier(self, x, classes, initializer):
        pool = self.add(
            keras.layers.AveragePooling2D,
            "average_pooling2d",
            pool_size=x.shape[1:3],
        )
        x = self.add(keras.layers.Flatten, "flatten")(pool(x))
        return self.add(
            keras.layers.Dense,
            "dense",
            units=classes,
            activation="softmax",
            kernel_initializer=initializer,
        )(x)
