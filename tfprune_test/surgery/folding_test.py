"""Factors move into the weights that read the channels."""

import functools

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.graph import values
from tfprune.surgery import folding
from tfprune_test import small_nets

layers = keras.layers
ops = keras.ops
_EDGES = ((0, 0), (1, 0), (0, 2), (0, 0))


def gated(model, scales):
    """The model with constant factors behind some layers."""

    @keras.saving.register_keras_serializable("folding_test")
    class Scaled(keras.layers.Layer):
        def __init__(self, inner, factor, **kwargs):
            super().__init__(**kwargs)
            self.inner, self.factor = inner, factor

        def call(self, x):
            return self.inner(x) * self.factor

    def clone(layer):
        copy = type(layer).from_config(layer.get_config())
        if layer.name in scales:
            return Scaled(copy, scales[layer.name], name=layer.name)
        return copy

    copy = keras.models.clone_model(model, clone_function=clone)
    for old, new in zip(model.layers, copy.layers, strict=True):
        new.set_weights(old.get_weights())
    return copy


def chain(*between, shape=(6, 6, 3)):
    """A layer of 4 channels, something, and a layer that reads them."""
    x = inputs = keras.Input(shape)
    x = layers.Conv2D(4, 3, activation="relu", name="gated")(x)
    for layer in between:
        x = layer(x)
    return keras.Model(inputs, layers.Dense(2, name="reader")(x))


def padded(x, inner):
    """Images, and their insides in zeros."""
    return x + ops.image.pad_images(inner, 1, 1, 1, 1)


FACTORS = np.array([0.3, 0.9, 0.0, 0.5], "float32")


def folded(model, gates):
    graph = read.channel_graph(model)
    at = {}
    for step in graph.steps:
        if step.layer in gates:
            at[step.layer] = np.ones(graph.size)
            at[step.layer][step.outputs[0].axes[0]] = gates[step.layer]
    changes = folding.into_readers(graph, at)
    return rebuild.shrink(graph, np.ones(graph.size, bool), changes)


class FoldingTest(parameterized.TestCase):
    @parameterized.parameters(
        ([layers.Flatten],),
        ([layers.MaxPooling2D, layers.Flatten],),
        ([lambda: layers.AveragePooling2D(2), layers.ReLU, layers.Flatten],),
        ([lambda: layers.Activation("relu"), layers.GlobalMaxPooling2D],),
        (
            [
                layers.ZeroPadding2D,
                lambda: layers.Permute((3, 1, 2)),
                layers.Flatten,
            ],
        ),
        ([lambda: layers.SeparableConv2D(3, 2), layers.Flatten],),
        ([lambda: layers.Reshape((16, 4)), lambda: layers.LSTM(3)],),
        ([lambda: layers.Conv2D(3, 2, padding="same"), layers.Flatten],),
        ([lambda: layers.PReLU(alpha_initializer="ones"), layers.Flatten],),
        ([lambda: lambda x: layers.Subtract()([-3 * x, x]), layers.Flatten],),
        ([lambda: layers.GaussianNoise(1.0), layers.Flatten],),
        ([lambda: lambda x: ops.reshape(x, (-1, 64))],),
        ([lambda: lambda x: ops.transpose(x, (0, 3, 1, 2)), layers.Flatten],),
        ([lambda: lambda x: ops.relu(-x) + x / 2 - 3 * x, layers.Flatten],),
        ([lambda: lambda x: ops.maximum(x, 0.0), layers.Flatten],),
        ([lambda: lambda x: ops.max(x[:, 1:, ::2], 1), layers.Flatten],),
        ([lambda: lambda x: ops.mean(ops.pad(x, _EDGES), (1, 2))],),
        ([lambda: lambda x: ops.unstack(x, axis=1)[1], layers.Flatten],),
        ([lambda: lambda x: ops.take(x, [3, 0], axis=-1), layers.Flatten],),
        ([lambda: lambda x: ops.take(x, [1, 3], axis=1), layers.Flatten],),
        ([lambda: lambda x: ops.take(x, 2, axis=-1)],),
        ([lambda: lambda x: ops.append(x, -x, axis=-1), layers.Flatten],),
        ([lambda: lambda x: ops.dstack([x, x]), layers.Flatten],),
        ([lambda: lambda x: ops.hstack(ops.hsplit(x, 2)), layers.Flatten],),
        ([lambda: lambda x: ops.dsplit(x, 2)[1], layers.Flatten],),
        ([lambda: lambda x: ops.array_split(x, 3, 1)[0], layers.Flatten],),
        ([lambda: lambda x: ops.fliplr(ops.rot90(x, 1, (1, 2)))],),
        ([lambda: lambda x: ops.trace(x, axis1=1, axis2=2)],),
        ([lambda: lambda x: ops.swapaxes(ops.diagonal(x, 0, 1, 2), 1, 2)],),
        ([lambda: lambda x: ops.image.gaussian_blur(x), layers.Flatten],),
        ([lambda: lambda x: padded(x, ops.image.crop_images(x, 1, 1, 1, 1))],),
        (
            [
                lambda: lambda x: ops.image.resize(x, (3, 5)),
                lambda: lambda x: ops.concatenate([x, -x], axis=-1),
                layers.Flatten,
            ],
        ),
    )
    def test_the_outputs_are_those_of_a_gate(self, between):
        model = chain(*(make() for make in between))
        x = np.random.default_rng(0).normal(size=(3, 6, 6, 3))
        expected = gated(model, {"gated": FACTORS})
        small = folded(model, {"gated": FACTORS})
        np.testing.assert_allclose(
            values.numpy(small(x)), values.numpy(expected(x)), atol=1e-5
        )
        self.assertFalse(
            np.allclose(values.numpy(small(x)), values.numpy(model(x)))
        )

    def test_attention_reads_its_inputs_and_the_channels_within(self):
        inputs = keras.Input((5, 3))
        x = layers.Dense(4, activation="relu", name="gated")(inputs)
        x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
        model = keras.Model(inputs, layers.Dense(2)(x))
        data = np.random.default_rng(0).normal(size=(2, 5, 3))
        expected = gated(model, {"gated": FACTORS})(data)
        found = folded(model, {"gated": FACTORS})(data)
        np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_what_is_added_has_gates_of_its_own(self):
        inputs = keras.Input((5,))
        x = layers.Dense(4, activation="relu", name="a")(inputs)
        y = layers.Dense(4, activation="relu", name="b")(x)
        z = layers.ReLU(name="c")(layers.Add()([x, y]))
        model = keras.Model(inputs, layers.Dense(2)(z))
        x = np.random.default_rng(0).normal(size=(3, 5))
        for scales in ({"c": FACTORS}, {"a": FACTORS, "b": FACTORS}):
            expected = gated(model, scales)
            np.testing.assert_allclose(
                values.numpy(folded(model, scales)(x)),
                values.numpy(expected(x)),
                atol=1e-5,
            )
        with self.assertRaisesRegex(ValueError, "inputs have different gates"):
            folded(model, {"a": FACTORS})

    @parameterized.parameters(
        ([layers.BatchNormalization, layers.Flatten], "BatchNorm"),
        ([lambda: layers.Activation("tanh"), layers.Flatten], "Activation"),
        ([lambda: layers.ReLU(6.0), layers.Flatten], "ReLU"),
        ([lambda: layers.DepthwiseConv2D(3), layers.Flatten], "Depthwise"),
        ([layers.UnitNormalization, layers.Flatten], "UnitNorm"),
        (
            [
                lambda: functools.partial(
                    layers.GaussianNoise(1.0), training=True
                ),
                layers.Flatten,
            ],
            "GaussianNoise",
        ),
        ([lambda: lambda x: x + 1.0, layers.Flatten], "Add"),
        ([lambda: lambda x: 1.0 / (x + x), layers.Flatten], "TrueDivide"),
        ([lambda: lambda x: x * x, layers.Flatten], "Multiply"),
        ([lambda: lambda x: ops.cast(x, "int32"), layers.Flatten], "Cast"),
        ([lambda: lambda x: ops.cumsum(x, -1), layers.Flatten], "Cumsum"),
        ([lambda: lambda x: ops.max(x, 1, initial=0.1)], "Max"),
        ([lambda: lambda x: ops.sum(x, -1), layers.Flatten], "Sum"),
        ([lambda: lambda x: ops.unstack(x, axis=-1)[1]], "Unstack"),
        ([lambda: lambda x: ops.take(x, [[1]], axis=-1)], "Take"),
        ([lambda: lambda x: ops.rot90(x, 1, (2, 3))], "Rot90"),
        ([lambda: lambda x: ops.diagonal(x, 0, 1, 3)], "Diagonal"),
        (
            [
                lambda: lambda x: ops.pad(x, _EDGES, constant_values=1.0),
                layers.Flatten,
            ],
            "Pad",
        ),
        (
            [
                lambda: lambda x: layers.Add()([x, x[..., :1]]),
                layers.Flatten,
            ],
            "Add",
        ),
    )
    def test_what_does_not_pass_factors_on_is_an_error(self, between, name):
        model = chain(*(make() for make in between))
        with self.assertRaisesRegex(ValueError, f"a {name}.* follows"):
            folded(model, {"gated": FACTORS})

    def test_a_reshape_of_an_unknown_size_is_an_error(self):
        model = chain(layers.Reshape((-1, 8)), shape=(None, 6, 3))
        with self.assertRaisesRegex(ValueError, "a Reshape follows"):
            folded(model, {"gated": FACTORS})

    def test_channels_that_go_together_need_one_factor(self):
        model = chain(layers.Conv2D(4, 2, groups=2), layers.Flatten())
        with self.assertRaisesRegex(ValueError, "are tied together"):
            folded(model, {"gated": FACTORS})

    def test_a_layer_that_reads_both_ways_is_an_error(self):
        inputs = keras.Input((4,))
        shared = layers.Dense(4, name="shared")
        x = layers.ReLU(name="gated")(shared(inputs))
        model = keras.Model(inputs, layers.Dense(2)(shared(x)))
        with self.assertRaisesRegex(ValueError, "called on different gates"):
            folded(model, {"gated": FACTORS})

    @parameterized.parameters(layers.SimpleRNN, layers.GRU, layers.LSTM)
    def test_states_that_start_at_a_gate_are_an_error(self, recurrent):
        inputs = keras.Input((5, 3)), keras.Input((6,))
        state = layers.Dense(4, "relu", name="gated")(inputs[1])
        states = [state] * (2 if recurrent is layers.LSTM else 1)
        x = recurrent(4, name="recurrent")(inputs[0], initial_state=states)
        model = keras.Model(inputs, layers.Dense(2)(x))
        # Later states have no gate, but the same weights read them.
        with self.assertRaisesRegex(ValueError, "'recurrent': .* state"):
            folded(model, {"gated": FACTORS})

    def test_the_output_itself_has_no_reader(self):
        model = small_nets.chain()
        with self.assertRaisesRegex(ValueError, "its output is gated"):
            folded_output(model)

    def test_negative_factors_are_an_error(self):
        with self.assertRaisesRegex(ValueError, "must not be negative"):
            folded(chain(layers.Flatten()), {"gated": -FACTORS})


def folded_output(model):
    graph = read.channel_graph(model)
    path = graph.steps[-1].layer
    folding.into_readers(graph, {path: np.full(graph.size, 0.5)})
