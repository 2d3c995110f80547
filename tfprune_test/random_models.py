"""Random small graphs with random zeros in their weights.

Everything is drawn through a `Chooser`, so that hypothesis can shrink a
graph that fails, and a seed can give it again.
"""

import keras
import numpy as np

from tfprune.graph import channel_graph
from tfprune.graph import read
from tfprune.graph import values
from tfprune.selection import candidates as candidates_lib
from tfprune.selection import cut as cut_lib
from tfprune.surgery import shrinking
from tfprune.surgery import whole_blocks
from tfprune_test import exactness
from tfprune_test import random_blocks

LAYERS = keras.layers


class Seeded:
    """Draws from a seed."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)

    def integer(self, low, high):
        """An integer of [low, high]."""
        return int(self._rng.integers(low, high + 1))


class Builder:
    """Builds one graph.

    Args:
        chooser: an object with `integer(low, high)`.
        size: `int`, the most blocks in the outermost model.
    """

    def __init__(self, chooser, size=5):
        self._chooser = chooser
        self._size = size
        self.inputs = []
        self.outputs = []

    def integer(self, low, high):
        return self._chooser.integer(low, high)

    def choose(self, options):
        return options[self.integer(0, len(options) - 1)]

    def chance(self, one_in):
        return self.integer(1, one_in) == one_in

    def model(self):
        """A model; `Sequential` in one of eight cases."""
        if self.chance(8):
            return self._sequential()
        x = self._input((6, 6, self.integer(1, 3)))
        x = self._conv(x)
        for _ in range(self.integer(1, self._size)):
            x = self._block(x)
            if self.chance(10):
                self.outputs.append(self._head(x))
        self.outputs.append(self._head(x))
        if self.chance(8):
            names = [f"output{i}" for i in range(len(self.outputs))]
            outputs = dict(zip(names, self.outputs))
        else:
            outputs = self._single(self.outputs)
        return keras.Model(self._single(self.inputs), outputs)

    def _single(self, tensors):
        return tensors[0] if len(tensors) == 1 else tensors

    def _input(self, shape):
        x = keras.Input(shape)
        self.inputs.append(x)
        return x

    def _sequential(self):
        layers = [keras.Input((6, 6, 2))]
        for _ in range(self.integer(1, self._size)):
            layers += [self._conv_layer(self.integer(1, 6), "same")]
            layers += self.choose(
                [
                    [],
                    [LAYERS.BatchNormalization()],
                    [LAYERS.BatchNormalization(), LAYERS.ReLU()],
                    [LAYERS.DepthwiseConv2D(3, padding="same")],
                    [LAYERS.SeparableConv2D(3, 2)] if len(layers) < 4 else [],
                ]
            )
        layers += [
            self.choose([LAYERS.Flatten, LAYERS.GlobalMaxPooling2D])(),
            LAYERS.Dense(self.integer(1, 5), self._activation_name()),
            LAYERS.Dense(2),
        ]
        return keras.Sequential(layers)

    def _block(self, x, depth=0):
        return self.choose(BLOCKS if depth < 2 else BLOCKS[:LEAVES])(
            self, x, depth
        )

    def _body(self, x, depth):
        """A few blocks one after the other."""
        for _ in range(self.integer(1, 2)):
            x = self._block(x, depth + 1)
        return x

    def _activation_name(self):
        return self.choose([None, "relu", "tanh", "sigmoid", "swish"])

    def _conv_layer(self, filters, padding=None, groups=1, strides=1):
        size = self.choose([1, 2, 3])
        dilation = 1 if strides > 1 else self.choose([1, 1, 2])
        return LAYERS.Conv2D(
            filters,
            size,
            strides,
            padding or self.choose(["same", "valid"]),
            dilation_rate=dilation,
            groups=groups,
            use_bias=not self.chance(5),
            activation=self._activation_name(),
        )

    def _fits(self, x, size):
        """Whether a valid window of this size finds room."""
        return min(x.shape[1:3]) >= size

    def _conv(self, x, depth=0):
        channels = x.shape[-1]
        padding = None if self._fits(x, 5) else "same"
        strides = self.choose([1, 1, 1, 2])
        groups = 1
        # Keras compiles each convolution with groups anew.
        if self.chance(12):
            divisors = [n for n in range(1, channels + 1) if channels % n == 0]
            groups = self.choose(divisors)
        filters = groups * self.integer(1, max(1, 6 // groups))
        return self._conv_layer(filters, padding, groups, strides)(x)

    def _same_shape_conv(self, x):
        return self._conv_layer(x.shape[-1], "same")(x)

    def _transposed(self, x, depth):
        strides = 2 if max(x.shape[1:3]) < 5 else 1
        padding = self.choose(["same", "valid"])
        layer = LAYERS.Conv2DTranspose(self.integer(1, 5), 2, strides, padding)
        return layer(x)

    def _depthwise(self, x, depth):
        times = self.choose([1, 1, 2]) if x.shape[-1] < 7 else 1
        return LAYERS.DepthwiseConv2D(
            self.choose([1, 3]),
            padding="same",
            depth_multiplier=times,
            use_bias=self.chance(2),
        )(x)

    def _separable(self, x, depth):
        padding = "valid" if self._fits(x, 3) and self.chance(2) else "same"
        return LAYERS.SeparableConv2D(
            self.integer(1, 6),
            self.choose([1, 2]),
            padding=padding,
            depth_multiplier=self.choose([1, 2]),
        )(x)

    def _norm(self, x, depth):
        return LAYERS.BatchNormalization(
            scale=not self.chance(4), center=not self.chance(4)
        )(x)

    def _activation(self, x, depth):
        return self.choose(ACTIVATIONS)(x)

    def _pool(self, x, depth):
        if not self._fits(x, 2):
            return LAYERS.UpSampling2D(2)(x)
        return self.choose(
            [
                LAYERS.MaxPooling2D(2, 1),
                LAYERS.AveragePooling2D(2, padding="same"),
                LAYERS.ZeroPadding2D(1),
                LAYERS.Cropping2D(((1, 0), (0, 1))),
            ]
        )(x)

    def _reshape(self, x, depth):
        h, w, c = x.shape[1:]
        return self.choose(
            [
                lambda: LAYERS.Reshape((h, w, c))(LAYERS.Flatten()(x)),
                lambda: LAYERS.Reshape((1, h * w, c))(x),
                lambda: LAYERS.Permute((2, 1, 3))(x),
                lambda: keras.ops.reshape(x, (-1, h * w, 1, c)),
                lambda: keras.ops.flip(x, -1),
            ]
        )()

    def _shuffle(self, x, depth):
        h, w, c = x.shape[1:]
        groups = self.choose([n for n in range(1, c + 1) if c % n == 0])
        x = LAYERS.Reshape((h, w, groups, c // groups))(x)
        return LAYERS.Reshape((h, w, c))(LAYERS.Permute((1, 2, 4, 3))(x))

    def _slice(self, x, depth):
        channels = x.shape[-1]
        if channels < 2:
            return x
        at = self.integer(1, channels - 1)
        if self.chance(3):
            a, b = keras.ops.split(x, [at], axis=-1)
        elif self.chance(2):
            a, b = x[..., :at], x[..., at:]
        else:
            return x[..., at:] if self.chance(2) else x[:, :, :, :at]
        a = self._same_shape_conv(a)
        return LAYERS.Concatenate()([b, a] if self.chance(2) else [a, b])

    def _pad(self, x, depth):
        ends = (self.integer(0, 2), self.integer(0, 2))
        value = self.choose([None, None, 0.5])
        x = keras.ops.pad(
            x, ((0, 0), (0, 0), (0, 0), ends), constant_values=value
        )
        if self.chance(2):
            return x
        return x + self._same_shape_conv(x)

    def _array(self, x, depth):
        values = np.linspace(-1, 1, x.shape[-1], dtype="float32")
        return x * values if self.chance(2) else x + values

    def _spatial_gate(self, x, depth):
        gate = LAYERS.Conv2D(1, 3, padding="same", activation="sigmoid")(x)
        return x * gate if self.chance(2) else LAYERS.Multiply()([gate, x])

    def _squeeze_excite(self, x, depth):
        channels = x.shape[-1]
        hidden = self.integer(1, 4)
        if self.chance(2):
            y = LAYERS.GlobalAveragePooling2D(keepdims=True)(x)
            y = LAYERS.Conv2D(hidden, 1, activation="relu")(y)
            y = LAYERS.Conv2D(channels, 1, activation="sigmoid")(y)
        else:
            y = keras.ops.mean(x, axis=(1, 2))
            y = LAYERS.Dense(hidden, activation="relu")(y)
            y = LAYERS.Dense(channels, activation="hard_sigmoid")(y)
            y = LAYERS.Reshape((1, 1, channels))(y)
        return x * y

    def _residual(self, x, depth):
        y = self._body(x, depth)
        if y.shape[1:3] != x.shape[1:3]:
            return y
        if y.shape[-1] != x.shape[-1]:
            x = LAYERS.Conv2D(y.shape[-1], 1)(x)
        return self.choose(MERGES)([x, y])

    def _concatenate(self, x, depth):
        y = self._body(x, depth)
        if y.shape[1:3] != x.shape[1:3]:
            return y
        parts = self.choose([[x, y], [y, x], [y, y]])
        if y.shape == x.shape and self.chance(3):
            return keras.ops.concatenate(parts, axis=1)
        return LAYERS.Concatenate()(parts)

    def _shared(self, x, depth):
        layer = self._conv_layer(x.shape[-1], "same")
        y = layer(self._activation(layer(x), depth))
        return x + y if self.chance(2) else y

    def _nested(self, x, depth):
        inner = Builder(self._chooser, 1)
        inputs = keras.Input(x.shape[1:])
        y = inner._body(inputs, depth + 1)
        # An input that comes from within would be one of the outer model.
        model = keras.Model([inputs, *inner.inputs], y)
        if inner.inputs:
            return x
        model = keras.Model(inputs, y)
        if self.chance(3):
            model = keras.Sequential([inputs, model])
        if self.chance(2):
            return model(x)
        both = [model(x), model(self._same_shape_conv(x))]
        return self.choose(MERGES)(both)

    def _second_input(self, x, depth):
        if depth or len(self.inputs) != 1:
            return self._same_shape_conv(x)
        if self.chance(2):
            y = self._input((*x.shape[1:3], 2))
            return LAYERS.Concatenate()([x, LAYERS.Conv2D(3, 1)(y)])
        y = LAYERS.Dense(4, activation="relu")(self._input((3,)))
        y = LAYERS.Dense(x.shape[-1], activation="sigmoid")(y)
        return x * LAYERS.Reshape((1, 1, x.shape[-1]))(y)

    def _head(self, x):
        x = self.choose(
            [
                lambda: LAYERS.Flatten()(x),
                lambda: LAYERS.GlobalAveragePooling2D()(x),
                lambda: keras.ops.max(x, axis=(1, 2)),
            ]
        )()
        if self.chance(2):
            x = LAYERS.Dense(self.integer(1, 6), self._activation_name())(x)
        return LAYERS.Dense(2)(x)


ACTIVATIONS = (
    lambda x: LAYERS.ReLU()(x),
    lambda x: LAYERS.PReLU(shared_axes=[1, 2])(x),
    lambda x: LAYERS.PReLU()(x),
    lambda x: LAYERS.LeakyReLU()(x),
    lambda x: keras.ops.relu(x),
    lambda x: keras.ops.sigmoid(x) - 0.5,
    lambda x: LAYERS.Activation("tanh")(x),
    lambda x: LAYERS.Dropout(0.5)(x),
    lambda x: 1.0 - x * 0.5,
)
MERGES = (
    lambda pair: pair[0] + pair[1],
    lambda pair: LAYERS.Add()(pair),
    lambda pair: LAYERS.Average()(pair),
    lambda pair: LAYERS.Maximum()(pair),
    lambda pair: pair[0] * pair[1],
    lambda pair: LAYERS.Subtract()(pair),
)
# The first `LEAVES` of them contain no other blocks.
BLOCKS = (
    Builder._conv,
    Builder._conv,
    Builder._conv,
    Builder._norm,
    Builder._norm,
    Builder._activation,
    Builder._depthwise,
    Builder._separable,
    Builder._transposed,
    Builder._pool,
    Builder._reshape,
    Builder._shuffle,
    Builder._slice,
    Builder._pad,
    Builder._array,
    Builder._spatial_gate,
    Builder._squeeze_excite,
    Builder._shared,
    Builder._second_input,
    *random_blocks.BLOCKS,
    Builder._residual,
    Builder._concatenate,
    Builder._nested,
)
LEAVES = 19 + len(random_blocks.BLOCKS)
RATES = (0.0, 0.0, 0.1, 0.2, 0.3, 0.5, 0.8)


def sparse_model(chooser, size=5):
    """A random model with zeros of several kinds in its weights.

    Channels are masked where they are read, at a random rate; channels are
    silenced where they are written, some of them so that they become zero;
    and single weights are zeroed.

    Args:
        chooser: an object with `integer(low, high)`.
        size: `int`, the most blocks in the outermost model.

    Returns:
        `(graph, masked, keep)`: the dense model's `ChannelGraph`, the sparse
        model, and the channels that were not masked.
    """
    seed = chooser.integer(0, 2**16)
    keras.utils.set_random_seed(seed)
    model = Builder(chooser, size).model()
    rng = np.random.default_rng(seed)
    exactness.randomize(model, rng)
    rates = [RATES[chooser.integer(0, len(RATES) - 1)] for _ in range(4)]
    masked_rate, silent_rate, zero_rate, weight_rate = rates
    graph = read.channel_graph(model)
    keep = graph.frozen | (rng.random(graph.size) >= masked_rate)
    keep = candidates_lib.restored(graph, keep)
    masked = shrinking.masked(cut_lib.Cut(graph, keep))
    again = read.channel_graph(masked)
    # An output that is constant would tell nothing.
    silent = (rng.random(graph.size) < silent_rate) & graph.removable
    exactness.silence_writers(again, silent)
    _silence_shifts(again, silent & (rng.random(graph.size) < zero_rate))
    if chooser.integer(0, 3) == 3:
        _scatter_zeros(again, weight_rate, rng)
    if chooser.integer(0, 3) == 3:
        _zero_a_branch(masked, chooser)
    if chooser.integer(0, 2) == 2:
        _zero_slices(again, rng)
    return graph, masked, keep


def _silence_shifts(graph, silent):
    """Zeros biases and shifts of these channels, so that they are zero."""
    for binding in graph.bindings:
        name = binding.attribute
        if binding.role == channel_graph.CARRIES and name in ("bias", "beta"):
            value = np.array(values.numpy(binding.variable))
            value[silent[binding.labels]] = 0
            binding.variable.assign(value)


def _scatter_zeros(graph, rate, rng):
    for binding in graph.bindings:
        if binding.role == channel_graph.READS:
            value = np.array(values.numpy(binding.variable))
            value[rng.random(value.shape) < rate] = 0
            binding.variable.assign(value)


def _zero_slices(graph, rng):
    """Zeros half of the slices of weights, along an axis of each.

    Channels that go together are not zero together then, as they are not
    where other tools have made the zeros.
    """
    for variable in {
        id(b.variable): b.variable for b in graph.bindings
    }.values():
        if len(variable.shape) > 1:
            axis = rng.integers(len(variable.shape))
            value = np.array(values.numpy(variable))
            slices = np.moveaxis(value, axis, 0)
            slices[rng.random(len(slices)) < 0.5] = 0
            variable.assign(value)


def _zero_a_branch(model, chooser):
    """Zeros the weights of all layers of one residual branch, if any."""
    blocks = whole_blocks.find(read.channel_graph(model))
    if blocks:
        block = blocks[chooser.integer(0, len(blocks) - 1)]
        for layer in values.layers_of(model):
            if layer.name in block.layers:
                for variable in layer.trainable_variables:
                    variable.assign(np.zeros(variable.shape))
