"""Networks of one layer, op or block, to try runtimes on."""

import keras
import numpy as np

LAYERS, OPS = keras.layers, keras.ops


def _dense(x):
    return LAYERS.Dense(8)(x)


def _words(x, **kwargs):
    values = keras.initializers.RandomUniform(-1, 1, seed=0)
    return LAYERS.Embedding(9, 4, values, **kwargs)(x)


def _patches(x):
    return OPS.image.extract_patches(x, 2)


# For each row, the shape and the dtype of the input, and the layer or op.
VECTOR, STEPS, IMAGE = (6,), (8, 4), (8, 8, 3)
ROWS = {
    **{
        name: (
            VECTOR,
            "float32",
            lambda x, n=name: LAYERS.Activation(n)(_dense(x)),
        )
        for name in (
            "relu relu6 leaky_relu elu selu celu gelu softplus softsign mish "
            "exponential sigmoid hard_sigmoid log_sigmoid silu hard_silu tanh "
            "hard_tanh tanh_shrink soft_shrink squareplus softmax log_softmax "
            "sparsemax"
        ).split()
    },
    "PReLU": (VECTOR, "float32", lambda x: LAYERS.PReLU()(_dense(x))),
    "Conv1D": (STEPS, "float32", lambda x: LAYERS.Conv1D(4, 3)(x)),
    # Rows whose ends CMSIS-NN computes in two ways of its own.
    **{
        f"Conv1D, kernel {kernel}, strides {strides}, {padding}": (
            (17, 4),
            "float32",
            lambda x, k=kernel, s=strides, p=padding: LAYERS.Conv1D(4, k, s, p)(
                x
            ),
        )
        for kernel, strides, padding in (
            (4, 2, "same"),
            (5, 3, "same"),
            (4, 2, "valid"),
        )
    },
    "Conv2D": (IMAGE, "float32", lambda x: LAYERS.Conv2D(4, 3)(x)),
    "Conv3D": ((4, 4, 4, 2), "float32", lambda x: LAYERS.Conv3D(4, 3)(x)),
    "DepthwiseConv2D": (
        IMAGE,
        "float32",
        lambda x: LAYERS.DepthwiseConv2D(3)(x),
    ),
    "Conv2DTranspose": (
        IMAGE,
        "float32",
        lambda x: LAYERS.Conv2DTranspose(4, 3, 2)(x),
    ),
    "Conv2DTranspose, relu": (
        IMAGE,
        "float32",
        lambda x: LAYERS.Conv2DTranspose(4, 3, 2, activation="relu")(x),
    ),
    "Conv2D as large as the map": (
        (2, 2, 3),
        "float32",
        lambda x: LAYERS.Conv2D(4, 2, padding="same")(x),
    ),
    "relu6 of a sum": (
        STEPS,
        "float32",
        lambda x: LAYERS.Activation("relu6")(3 * (x + _dense(x)[..., :4])),
    ),
    "UpSampling2D, bilinear": (
        IMAGE,
        "float32",
        lambda x: LAYERS.UpSampling2D(2, interpolation="bilinear")(x),
    ),
    "LayerNormalization": (
        STEPS,
        "float32",
        lambda x: LAYERS.LayerNormalization()(_dense(x)),
    ),
    "UnitNormalization": (
        VECTOR,
        "float32",
        lambda x: LAYERS.UnitNormalization()(_dense(x)),
    ),
    "MultiHeadAttention": (
        STEPS,
        "float32",
        lambda x: LAYERS.MultiHeadAttention(2, 4)(x, x),
    ),
    "LSTM": (STEPS, "float32", lambda x: LAYERS.LSTM(6)(x)),
    "LSTM, both ways": (
        STEPS,
        "float32",
        lambda x: LAYERS.Bidirectional(LAYERS.LSTM(4))(x),
    ),
    "LSTM behind Masking": (
        STEPS,
        "float32",
        lambda x: LAYERS.LSTM(6)(LAYERS.Masking()(x)),
    ),
    "GRU": (STEPS, "float32", lambda x: LAYERS.GRU(6)(x)),
    "SimpleRNN": (STEPS, "float32", lambda x: LAYERS.SimpleRNN(6)(x)),
    "Embedding": (VECTOR, "int32", _words),
    "Embedding, mask_zero, LSTM": (
        VECTOR,
        "int32",
        lambda x: LAYERS.LSTM(4)(_words(x, mask_zero=True)),
    ),
    "MultiHeadAttention, causal": (
        STEPS,
        "float32",
        lambda x: LAYERS.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True),
    ),
    "one_hot": (VECTOR, "int32", lambda x: OPS.one_hot(x, 9)),
    "argmax": (VECTOR, "float32", lambda x: OPS.argmax(_dense(x), -1)),
    "sqrt": (VECTOR, "float32", lambda x: OPS.sqrt(OPS.relu(_dense(x)) + 0.1)),
    "extract_patches": (IMAGE, "float32", _patches),
    "slice of five axes": (
        (4, 4, 4, 2),
        "float32",
        lambda x: x[:, 1:, :, ::2],
    ),
    "input of uint8": (IMAGE, "uint8", lambda x: LAYERS.Rescaling(1 / 255)(x)),
    "input of uint16": (VECTOR, "uint16", lambda x: LAYERS.Rescaling(0.1)(x)),
    "input of int64": (VECTOR, "int64", _words),
    "float16": (
        IMAGE,
        "float32",
        lambda x: LAYERS.Conv2D(4, 3, dtype="float16")(x),
    ),
}


def _row(name, shape=IMAGE):
    """Registers a function of the input."""

    def registered(function):
        ROWS[name] = shape, "float32", function
        return function

    return registered


def _orders(shape, *orders):
    for order in orders:
        name = "permute " + "".join(map(str, order))
        _row(name, shape)(
            lambda x, o=order: LAYERS.Permute(o)(LAYERS.ReLU()(x))
        )


_orders((3, 5), (2, 1))
_orders((3, 5, 4), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1))
_orders((3, 5, 2, 4), (1, 2, 4, 3), (2, 1, 4, 3), (3, 4, 1, 2), (4, 1, 3, 2))
_orders((2, 3, 2, 3, 2), (2, 1, 4, 3, 5), (3, 1, 5, 2, 4), (5, 4, 3, 2, 1))

# Convolutions, by what their kernels tell apart.
for _name, _options in {
    "groups": {"groups": 3, "filters": 12},
    "dilated": {"dilation_rate": 2},
    "1x1": {"kernel_size": 1},
    "1x1 with strides": {"kernel_size": 1, "strides": 2},
    "1x7": {"kernel_size": (1, 7)},
    "11x3 with strides": {"kernel_size": (11, 3), "strides": 2},
}.items():
    _options = {"filters": 10, "kernel_size": 3, "padding": "same", **_options}
    _row(f"Conv2D, {_name}", (20, 20, 6))(
        lambda x, o=_options: LAYERS.Conv2D(**o)(x)
    )
for _name, _channels, _options in (
    ("multiplier", 6, {"depth_multiplier": 3}),
    ("dilated", 40, {"dilation_rate": 2, "padding": "same"}),
    ("130 channels", 130, {}),
    ("17 channels, strides", 17, {"strides": 2}),
):
    _row(f"DepthwiseConv2D, {_name}", (9, 9, _channels))(
        lambda x, o=_options: LAYERS.DepthwiseConv2D(3, **o)(x)
    )
for _name, _options in {
    "same": {"filters": 6, "strides": 2, "padding": "same"},
    "33 channels": {"filters": 33},
}.items():
    _row(f"Conv2DTranspose, {_name}", (10, 10, 4))(
        lambda x, o=_options: LAYERS.Conv2DTranspose(kernel_size=3, **o)(x)
    )

# Pairs of inputs that broadcast along other axes.
_MEANS = {
    "pixels": ((1, 2), ()),
    "rows": ((2,), ()),
    "channels": ((3,), ()),
    "all": ((1, 2, 3), ()),
    "both": ((2,), (1,)),
}
for _op in ("add", "subtract", "multiply", "maximum", "minimum"):
    for _name, _axes in _MEANS.items():

        def _pair(x, op=_op, axes=_axes):
            x = LAYERS.ReLU()(x)
            a, b = (
                OPS.mean(x, axis, keepdims=True) if axis else x for axis in axes
            )
            return getattr(OPS, op)(b, a)

        _row(f"{_op}, {_name}", (4, 4, 4))(_pair)

# Tensors of five axes.
FIVE = 3, 4, 2, 5
_row("add of five axes", FIVE)(lambda x: x + OPS.flip(x, 1) * 0.5)
_row("maximum of five axes", FIVE)(lambda x: OPS.maximum(x, OPS.flip(x, 1)))
_row("maximum of five axes, rows", FIVE)(
    lambda x: OPS.maximum(x, OPS.mean(x, 2, keepdims=True))
)
_row("multiply of five axes, maps", FIVE)(
    lambda x: x * OPS.mean(x, (2, 3), keepdims=True)
)
_row("concatenate of five axes", FIVE)(lambda x: OPS.concatenate([x, x * 2], 2))
_row("matrices of five axes", FIVE)(
    lambda x: OPS.matmul(x, OPS.swapaxes(x, -1, -2))
)
_row("softmax of five axes", FIVE)(lambda x: LAYERS.Softmax()(x))
_row("dense of five axes", FIVE)(lambda x: LAYERS.Dense(6)(x))
_row("pad of five axes", FIVE)(
    lambda x: OPS.pad(
        LAYERS.ReLU()(x), ((0, 0), (1, 1), (0, 2), (1, 0), (0, 0))
    )
)

# Other ops.
_row("two matrices", (5, 6, 7))(
    lambda x: OPS.matmul(x, OPS.transpose(x, (0, 1, 3, 2)))
)
_row("split", STEPS)(lambda x: OPS.add(*OPS.split(x, 2, -1)))
_row("divide", STEPS)(lambda x: x / (1.5 + OPS.abs(x)))
_row("exp", STEPS)(lambda x: OPS.exp(-OPS.square(x)))
_row("where", STEPS)(lambda x: OPS.where(x > 0, x, x * 2 + 1))
_row("cumsum", STEPS)(lambda x: OPS.cumsum(x, 1))
_row("normalize", STEPS)(lambda x: OPS.normalize(_dense(x)))
_row("normalize an input", STEPS)(lambda x: LAYERS.UnitNormalization()(x))
_row("flip")(lambda x: OPS.flip(LAYERS.ReLU()(x), 2))
_row("roll")(lambda x: OPS.roll(LAYERS.ReLU()(x), 3, 1))
_row("tile")(lambda x: OPS.tile(LAYERS.ReLU()(x), (1, 1, 2, 2)))
_row("repeat", VECTOR)(lambda x: _dense(LAYERS.RepeatVector(5)(x)))
_row("reflect")(
    lambda x: OPS.pad(
        LAYERS.Conv2D(3, 3)(x), ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect"
    )
)
_row("pad with ones")(
    lambda x: OPS.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)), constant_values=1.0)
)
_row("crop")(lambda x: LAYERS.Cropping2D(1)(LAYERS.ZeroPadding2D(3)(x)))
_row("resize")(lambda x: LAYERS.Resizing(13, 13)(x))
_row("average pooling")(
    lambda x: LAYERS.AveragePooling2D(3, 1, padding="same")(x)
)
_row("average pooling, 3x5")(lambda x: LAYERS.AveragePooling2D((3, 5))(x))
_row("max pooling")(lambda x: LAYERS.MaxPooling2D(3, 1, padding="same")(x))
_row("GlobalMaxPooling2D")(lambda x: LAYERS.GlobalMaxPooling2D()(x))
_row("GroupNormalization", (12, 12, 8))(
    lambda x: LAYERS.GroupNormalization(2)(x)
)
_row("depth to space", (8, 8, 4))(
    lambda x: LAYERS.Reshape((16, 16, 1))(
        LAYERS.Permute((1, 3, 2, 4, 5))(
            LAYERS.Reshape((8, 8, 2, 2, 1))(LAYERS.ReLU()(x))
        )
    )
)


@_row("two dense layers", (300,))
def _two(x):
    x = LAYERS.Dense(257, activation="relu")(x)
    return LAYERS.Dense(150, activation="tanh")(x)


@_row("dense layers of maps", (9, 9, 16))
def _of_maps(x):
    return LAYERS.Dense(11)(LAYERS.Dense(10, activation="relu")(x))


_row("dense layer of one unit on steps", (20, 8))(
    lambda x: LAYERS.Dense(1, activation="sigmoid")(LAYERS.Conv1D(8, 3)(x))
)


@_row("two dilated convolutions", (24, 6))
def _gated(x):
    kwargs = {"dilation_rate": 2, "padding": "causal"}
    a = LAYERS.Conv1D(8, 2, activation="tanh", **kwargs)(x)
    return a * LAYERS.Conv1D(8, 2, activation="sigmoid", **kwargs)(x)


@_row("two limits far away", VECTOR)
def _limits(x):
    small, large = LAYERS.Dense(3)(x), LAYERS.Dense(3)(x * 4)
    return OPS.minimum(small, 1e6) * OPS.minimum(large, 1e6)


@_row("LSTM of an LSTM", (28, 10))
def _two_lstms(x):
    forth = LAYERS.LSTM(9, return_sequences=True)
    x = LAYERS.LSTM(7)(LAYERS.Bidirectional(forth)(x))
    return LAYERS.Dense(3, activation="softmax")(x)


@_row("SimpleRNN of an LSTM", (30, 6))
def _mixed(x):
    return LAYERS.SimpleRNN(4)(LAYERS.LSTM(5, return_sequences=True)(x))


@_row("1D network", (64, 9))
def _signals(x):
    x = LAYERS.SeparableConv1D(16, 5, padding="same", activation="relu")(x)
    x = LAYERS.MaxPooling1D()(x)
    x = LAYERS.Conv1D(16, 3, padding="causal", activation="relu")(x)
    return LAYERS.Dense(4)(LAYERS.GlobalMaxPooling1D()(x))


@_row("inverted residual", (20, 20, 5))
def _inverted(x):
    y = LAYERS.Conv2D(30, 1, activation="relu6")(x)
    y = LAYERS.DepthwiseConv2D(3, padding="same", activation="relu6")(y)
    return LAYERS.Add()([x, LAYERS.Conv2D(5, 1)(y)])


@_row("squeeze and excite", (24, 24, 3))
def _excited(x):
    x = LAYERS.Conv2D(20, 3, 2, padding="same", activation="relu6")(x)
    y = LAYERS.GlobalAveragePooling2D(keepdims=True)(x)
    y = LAYERS.Conv2D(5, 1, activation="relu")(y)
    x = x * LAYERS.Conv2D(20, 1, activation="hard_sigmoid")(y)
    x = LAYERS.DepthwiseConv2D(5, padding="same")(x)
    return LAYERS.Dense(7)(LAYERS.GlobalAveragePooling2D()(x))


@_row("channel shuffle", (9, 9, 16))
def _shuffled(x):
    x = LAYERS.Permute((1, 2, 4, 3))(LAYERS.Reshape((9, 9, 2, 8))(x))
    return LAYERS.Conv2D(4, 3)(LAYERS.Reshape((9, 9, 16))(x))


@_row("mixer", (16, 16, 3))
def _mixer(x):
    x = LAYERS.Reshape((16, 12))(LAYERS.Conv2D(12, 4, 4)(x))
    y = LAYERS.Permute((2, 1))(LAYERS.LayerNormalization()(x))
    y = LAYERS.Dense(16)(LAYERS.Dense(24, activation="gelu")(y))
    return x + LAYERS.Permute((2, 1))(y)


@_row("transformer", (12, 16))
def _transformer(x):
    y = LAYERS.LayerNormalization()(x)
    x = x + LAYERS.MultiHeadAttention(2, 8)(y, y)
    y = LAYERS.Dense(32, activation="gelu")(LAYERS.LayerNormalization()(x))
    return LAYERS.GlobalAveragePooling1D()(x + LAYERS.Dense(16)(y))


@_row("U-Net", (32, 32, 3))
def _unet(x):
    def conv(x, filters):
        layer = LAYERS.Conv2D(filters, 3, padding="same", activation="relu")
        return layer(x)

    a = conv(x, 8)
    b = conv(LAYERS.MaxPooling2D()(a), 16)
    c = conv(LAYERS.MaxPooling2D()(b), 24)
    b = LAYERS.Concatenate()([LAYERS.Conv2DTranspose(16, 2, 2)(c), b])
    a = LAYERS.Concatenate()([LAYERS.UpSampling2D()(conv(b, 16)), a])
    return LAYERS.Conv2D(1, 1, activation="sigmoid")(a)


def of(name, count):
    """The model of a row, with random weights, and inputs for it.

    Args:
        name: a key of `ROWS`.
        count: `int`, the number of inputs.

    Returns:
        `(model, x)`.
    """
    keras.utils.set_random_seed(0)
    shape, dtype, function = ROWS[name]
    rng = np.random.default_rng(0)
    x = (
        rng.integers(0, 9, (count, *shape)).astype(dtype)
        if "int" in dtype
        else rng.normal(size=(count, *shape)).astype(dtype)
    )
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, function(inputs)), x
