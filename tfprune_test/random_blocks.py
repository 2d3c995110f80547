"""More blocks for random graphs: sequences, attention, tensors by parts.

Each takes the builder, a tensor of shape `(batch, rows, columns, channels)`
and the depth, and gives a tensor of four axes.
"""

import keras
import numpy as np

LAYERS = keras.layers
OPS = keras.ops


def _sequence(x):
    return LAYERS.Reshape((x.shape[1] * x.shape[2], x.shape[3]))(x)


def _image(x, like=None):
    rows, columns = like.shape[1:3] if like is not None else (x.shape[1], 1)
    return LAYERS.Reshape((rows, columns, x.shape[-1]))(x)


def grouped(builder, x, depth):
    """A convolution in groups of several channels each."""
    groups = builder.integer(2, 3)
    x = LAYERS.Conv2D(groups * 2, 1)(x)
    filters = groups * builder.integer(1, 3)
    return LAYERS.Conv2D(filters, 1, groups=groups)(x)


def recurrent(builder, x, depth):
    """A row of pixels is a step."""
    rows, columns, channels = x.shape[1:]
    if columns * channels > 40:
        return x
    steps = LAYERS.Reshape((rows, columns * channels))(x)
    cell = builder.choose([LAYERS.SimpleRNN, LAYERS.LSTM, LAYERS.GRU])
    bias = not builder.chance(4)
    layer = cell(builder.integer(1, 4), return_sequences=True, use_bias=bias)
    if builder.chance(3):
        mode = builder.choose(["concat", "sum"])
        layer = LAYERS.Bidirectional(layer, merge_mode=mode)
    return _image(layer(steps))


def attention(builder, x, depth):
    """Pixels attend to each other, or to those of another tensor."""
    if x.shape[1] * x.shape[2] < 7:
        # Keras adds a bias of heads of width 1 along the steps if they are
        # as many.
        return x
    query = value = _sequence(x)
    if builder.chance(3):
        channels = builder.choose([x.shape[-1], builder.integer(1, 4)])
        value = LAYERS.Dense(channels)(value)
    heads, width = builder.integer(1, 3), builder.integer(1, 3)
    bias = not builder.chance(4)
    if value.shape == query.shape and builder.chance(3):
        layer = LAYERS.GroupQueryAttention(width, heads * 2, heads)
    else:
        other = builder.choose([None, builder.integer(1, 3)])
        layer = LAYERS.MultiHeadAttention(heads, width, other, use_bias=bias)
    y = layer(query, value)
    return _image(query + y if builder.chance(2) else y, x)


def heads(builder, x, depth):
    """Attention written out: projections, reshapes and products."""
    if x.shape[1] * x.shape[2] < 7:
        return x
    steps = _sequence(x)
    count, width = builder.integer(1, 3), builder.integer(1, 3)
    if builder.chance(2):
        split = [
            LAYERS.EinsumDense(
                "btc,chw->bthw", (None, count, width), bias_axes="hw"
            )(steps)
            for _ in range(3)
        ]
    else:
        shape = (-1, steps.shape[1], count, width)
        split = [
            OPS.reshape(LAYERS.Dense(count * width)(steps), shape)
            for _ in range(3)
        ]
    query, key, value = split
    if builder.chance(2):
        scores = OPS.softmax(OPS.einsum("bqhw,bkhw->bhqk", query, key))
        y = OPS.einsum("bhqk,bkhw->bqhw", scores, value)
    else:
        query, key, value = (OPS.transpose(t, (0, 2, 1, 3)) for t in split)
        scores = OPS.matmul(query, OPS.transpose(key, (0, 1, 3, 2)))
        y = OPS.transpose(OPS.matmul(OPS.softmax(scores), value), (0, 2, 1, 3))
    y = OPS.reshape(y, (-1, *x.shape[1:3], count * width))
    return y


def einsum_dense(builder, x, depth):
    units = builder.integer(1, 5)
    plain = ("bhwc,cd->bhwd", (*x.shape[1:3], units), "d")
    # Keras takes the sizes behind the dots in the wrong order.
    square = x.shape[1] == x.shape[2]
    equation, shape, bias = builder.choose(
        [
            plain,
            ("...c,cd->...d", (units,), None) if square else plain,
            ("bhwc,wcd->bhwd", (*x.shape[1:3], units), "d"),
            ("bhwc,c->bhwc", tuple(x.shape[1:]), "c"),
            ("bhwc,hd->bdwc", (units, *x.shape[2:]), None),
        ]
    )
    return LAYERS.EinsumDense(equation, shape, bias_axes=bias)(x)


def blocks_of_pixels(builder, x, depth):
    rows, columns, channels = x.shape[1:]
    if channels % 4 == 0 and rows < 5:
        return OPS.nn.depth_to_space(x, 2)
    if rows % 2 == 0 and columns % 2 == 0 and channels < 4:
        return OPS.nn.space_to_depth(x, 2)
    return x


def wrapped(builder, x, depth):
    channels = builder.integer(1, 5)
    layer = builder.choose(
        [
            LAYERS.SpectralNormalization(LAYERS.Conv2D(channels, 1)),
            LAYERS.TimeDistributed(LAYERS.Dense(channels)),
            LAYERS.TimeDistributed(
                LAYERS.Conv1D(channels, 2, padding="same", activation="relu")
            ),
            LAYERS.TimeDistributed(LAYERS.BatchNormalization()),
        ]
    )
    return layer(x)


def normalized(builder, x, depth):
    layer = builder.choose(
        [
            LAYERS.GroupNormalization(-1),
            LAYERS.GroupNormalization(x.shape[-1]),
            LAYERS.LayerNormalization(),
            LAYERS.LayerNormalization(axis=1),
            LAYERS.RMSNormalization(),
        ]
    )
    return layer(x)


def by_parts(builder, x, depth):
    rows, channels = x.shape[1], x.shape[3]
    return builder.choose(
        [
            lambda: OPS.take(x, np.roll(np.arange(channels), 1), axis=3),
            lambda: x[..., builder.integer(0, 1) :: 2] if channels > 2 else x,
            lambda: x - OPS.moments(x, [1, 2], keepdims=True)[0],
            lambda: x * OPS.average(x, 1, OPS.sigmoid(x))[:, None],
            lambda: OPS.roll(x, 1, axis=builder.integer(1, 3)),
            lambda: OPS.cumsum(x, axis=builder.integer(1, 3)) * 0.2,
            lambda: OPS.max(OPS.stack([x, -x], axis=3), axis=3),
            lambda: LAYERS.Add()(OPS.unstack(OPS.stack([x, x], 1), 2, 1)),
            lambda: OPS.take(x, np.arange(rows)[::-1].copy(), axis=1),
            lambda: OPS.concatenate(OPS.split(x, rows, axis=1)[::-1], axis=1),
            lambda: OPS.glu(x) if x.shape[-1] % 2 == 0 else x,
            lambda: OPS.tile(x, (1, 1, 1, 2)) if x.shape[-1] < 4 else x,
            lambda: OPS.repeat(x, 2, axis=3) if x.shape[-1] < 4 else x,
            lambda: OPS.logsumexp(x, axis=1, keepdims=True) + x,
        ]
    )()


def looked_up(builder, x, depth):
    """A second input of words, which gate the channels."""
    if depth or len(builder.inputs) != 1:
        return x
    words = keras.Input((3,), dtype="int32")
    builder.inputs.append(words)
    y = OPS.mean(LAYERS.Embedding(5, builder.integer(1, 4))(words), axis=1)
    y = LAYERS.Dense(x.shape[-1], activation="sigmoid")(y)
    return x * LAYERS.Reshape((1, 1, x.shape[-1]))(y)


@keras.saving.register_keras_serializable("tfprune_test")
class Composite(LAYERS.Layer):
    """A residual block as a class of its own."""

    def __init__(self, filters, hidden, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.hidden = filters, hidden
        self.first = LAYERS.Conv2D(hidden, 1, activation="relu")
        self.norm = LAYERS.BatchNormalization()
        self.second = LAYERS.Conv2D(filters, 1)

    def build(self, shape):
        self.first.build(shape)
        hidden = (*shape[:-1], self.hidden)
        self.norm.build(hidden)
        self.second.build(hidden)
        self.built = True

    def compute_output_shape(self, shape):
        return shape

    def call(self, x, training=None):
        y = self.norm(self.first(x), training=training)
        return OPS.tanh(x + self.second(y))

    def get_config(self):
        own = {"filters": self.filters, "hidden": self.hidden}
        return super().get_config() | own


def composite(builder, x, depth):
    block = Composite(x.shape[-1], builder.integer(1, 4))
    y = block(x)
    return block(y) if builder.chance(3) else y


BLOCKS = (
    grouped,
    recurrent,
    attention,
    heads,
    einsum_dense,
    blocks_of_pixels,
    wrapped,
    normalized,
    by_parts,
    looked_up,
    composite,
)
