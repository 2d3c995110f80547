import re

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.methods import masked
from tfprune.methods import slimming
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping as wrap_lib
from tfprune_test.sparsity.wrapper_test import Gated

pytestmark = pytest.mark.any_backend

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy


def sequential():
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3, name="logits"),
        ]
    )


def residual():
    """Raw ops, a dict of inputs, two outputs, a frozen layer."""
    inputs = {
        "a": keras.Input((6, 6, 3), name="a"),
        "b": keras.Input((4,), name="b"),
    }
    x = layers.Conv2D(3, 3, padding="same", name="conv")(inputs["a"])
    x = x + inputs["a"] * 2.0
    x = keras.ops.mean(x, (1, 2))
    y = layers.Dense(3, name="frozen", trainable=False)(inputs["b"])
    joined = layers.Concatenate()([x, y])
    return keras.Model(
        inputs, {"x": layers.Dense(2, name="head")(joined), "y": y}
    )


def nested():
    """A nested model that is called twice, with a layer frozen in it."""
    inputs = keras.Input((6, 6, 4))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    block = keras.Model(inputs, layers.Dropout(0.5)(x), name="block")
    block.get_layer("conv").trainable = False
    inputs = keras.Input((6, 6, 4))
    outputs = block(block(inputs)) + inputs
    tail = keras.Sequential(
        [layers.Flatten(), layers.Dense(2, name="logits")], name="tail"
    )
    return keras.Model(inputs, tail(outputs))


def shared():
    inputs = keras.Input((5, 4))
    dense = layers.Dense(4, name="twice")
    x = layers.Lambda(lambda t: t * 1.5)(dense(dense(inputs)))
    return keras.Model(inputs, layers.LSTM(3, name="lstm")(x))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(4, 3, name="conv")
        self.pool = layers.GlobalAveragePooling2D()
        self.head = layers.Dense(2, name="head")

    def call(self, inputs):
        x = keras.ops.relu(self.conv(inputs))
        return self.head(self.pool(x) / 2)


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 6, 6, 3), "float32"))
    return model


MODELS = (
    (sequential, ["conv", "logits"]),
    (residual, ["conv", "frozen", "head"]),
    (nested, ["conv", "logits"]),
    (shared, ["twice", "lstm"]),
    (subclassed, ["conv", "head"]),
)


def inputs_of(model):
    random = np.random.default_rng(0)
    if isinstance(model, Subclassed):
        return random.normal(size=(3, 6, 6, 3)).astype("float32")
    return keras.tree.map_structure(
        lambda x: random.normal(size=(3, *x.shape[1:])).astype("float32"),
        model.inputs[0] if isinstance(model, keras.Sequential) else model.input,
    )


def outputs_of(model):
    found = keras.tree.flatten(model(inputs_of(model), training=False))
    return np.concatenate([to_numpy(x).reshape(-1) for x in found])


def settings(model):
    """The config, without code: its bytes tell how often it was run."""
    return re.sub(r'"code": "[^"]*"', "", model.to_json())


def state_of(model):
    return [to_numpy(v).copy() for v in model.variables]


class WrapTest(parameterized.TestCase):
    @parameterized.parameters(*MODELS)
    def test_the_copy_is_equal_and_the_original_is_untouched(self, make, names):
        model = make()
        before, expected = state_of(model), outputs_of(model)
        config = None if make is subclassed else settings(model)
        wrapped = wrap_lib.wrap(model, masked.Masked())
        np.testing.assert_array_equal(outputs_of(wrapped), expected)
        found = [wrapper.name for wrapper in wrapper_lib.find(wrapped)]
        self.assertCountEqual(found, names)
        self.assertEqual(
            [v.shape for v in wrapped.trainable_variables],
            [v.shape for v in model.trainable_variables],
        )
        wrapped.compile("sgd", "mse")
        targets = keras.tree.map_structure(
            lambda x: np.zeros(x.shape), wrapped(inputs_of(model))
        )
        wrapped.train_on_batch(inputs_of(model), targets)
        for value, variable in zip(before, model.variables):
            np.testing.assert_array_equal(value, to_numpy(variable))
        if config:
            self.assertEqual(settings(model), config)

    @parameterized.parameters(*MODELS)
    def test_unwrapping_restores_the_model(self, make, names):
        model = make()
        plain = wrap_lib.unwrap(wrap_lib.wrap(model, masked.Masked()))
        self.assertEmpty(wrapper_lib.find(plain))
        np.testing.assert_array_equal(outputs_of(plain), outputs_of(model))
        for old, new in zip(model.variables, plain.variables):
            np.testing.assert_array_equal(to_numpy(old), to_numpy(new))
            self.assertEqual(old.trainable, new.trainable)

    @parameterized.parameters(*MODELS)
    def test_unwrapping_keeps_what_was_pruned(self, make, names):
        wrapped = wrap_lib.wrap(make(), masked.Masked())
        for method, slots in wrapper_lib.groups(wrapped):
            method.update(None, slots, 0.6)
        plain = wrap_lib.unwrap(wrapped)
        np.testing.assert_array_equal(outputs_of(plain), outputs_of(wrapped))
        dense = wrap_lib.unwrap(wrapped, fold=False)
        zeros = [np.mean(v == 0) for v in state_of(dense) if v.ndim > 1]
        self.assertLess(max(zeros), 0.1)

    @parameterized.parameters(
        (wrap_lib.kernels, ["conv", "logits"]),
        (wrap_lib.convolutions, ["conv"]),
        (wrap_lib.dense, ["logits"]),
        ("conv", ["conv"]),
        ("block/*", ["conv"]),
        (["*/conv", wrap_lib.dense], ["conv", "logits"]),
        ((lambda layer: layer.name == "logits",), ["logits"]),
    )
    def test_where(self, where, names):
        wrapped = wrap_lib.wrap(nested(), masked.Masked(), where)
        found = [wrapper.name for wrapper in wrapper_lib.find(wrapped)]
        self.assertEqual(found, names)

    def test_weights_that_are_nan_are_refused_before_training(self):
        broken = sequential()
        broken.get_layer("logits").bias.assign([0.0, np.inf, 0.0])
        with self.assertRaisesRegex(ValueError, "Finite .*/logits/bias of"):
            wrap_lib.wrap(broken, masked.Masked())

    def test_embeddings_are_wrapped_by_name_only(self):
        model = keras.Sequential(
            [
                keras.Input((5,)),
                layers.Embedding(9, 4, name="words"),
                layers.Flatten(),
                layers.Dense(2, name="logits"),
            ]
        )
        wrapped = wrap_lib.wrap(model, masked.Masked())
        self.assertLen(wrapper_lib.find(wrapped), 1)
        wrapped = wrap_lib.wrap(model, masked.Masked(), ["words", "logits"])
        self.assertLen(wrapper_lib.find(wrapped), 2)

    def test_functions_called_as_those_of_keras(self):
        def gelu(x):
            return x * keras.ops.sigmoid(1.702 * x)

        dense = layers.Dense(4, activation=gelu)
        model = keras.Sequential([keras.Input((3,)), dense])
        wrapped = wrap_lib.wrap(model, masked.Masked())
        x = np.random.default_rng(0).normal(size=(5, 3))
        for copy in (wrapped, wrap_lib.unwrap(wrapped)):
            np.testing.assert_array_equal(to_numpy(copy(x)), to_numpy(model(x)))

    @parameterized.parameters(False, True)
    def test_a_layer_that_takes_no_name(self, is_sequential):
        class Own(keras.layers.Layer):
            def __init__(self, units):
                super().__init__()
                self.units = units

            def build(self, shape):
                self.kernel = self.add_weight(shape=(shape[-1], self.units))

            def call(self, x):
                return keras.ops.matmul(x, self.kernel)

        layers = [keras.layers.Dense(4), Own(3), keras.layers.Dense(2)]
        model = keras.Sequential([keras.Input((3,)), *layers])
        if not is_sequential:
            model = keras.Model(model.inputs[0], model.outputs[0])
        wrapped = wrap_lib.wrap(model, masked.Masked())
        self.assertEqual(
            [x.name for x in wrapped.layers], [x.name for x in model.layers]
        )
        x = np.ones((2, 3), "float32")
        np.testing.assert_allclose(wrapped(x), model(x), rtol=1e-5)

    def test_settings_of_compile_are_kept(self):
        model = sequential()
        model.compile(keras.optimizers.SGD(0.25), "mse", metrics=["mae"])
        wrapped = wrap_lib.wrap(model, masked.Masked())
        self.assertTrue(wrapped.compiled)
        self.assertEqual(float(wrapped.optimizer.learning_rate), 0.25)

    def test_a_loss_that_cannot_be_saved_is_shared(self):
        model = sequential()

        def loss(y, outputs):
            return keras.ops.mean(keras.ops.abs(y - outputs))

        model.compile("sgd", loss)
        wrapped = wrap_lib.wrap(model, masked.Masked())
        self.assertIs(wrapped.loss, loss)
        np.testing.assert_array_equal(outputs_of(wrapped), outputs_of(model))

    def test_losses_go_by_the_names_of_outputs(self):
        inputs = keras.Input((4,))
        model = keras.Model(
            inputs,
            [
                layers.Dense(2, name="left")(inputs),
                layers.Dense(2, name="right")(inputs),
            ],
        )
        wrapped = wrap_lib.wrap(model, masked.Masked())
        self.assertEqual(wrapped.output_names, ["left", "right"])
        wrapped.compile("sgd", {"left": "mse", "right": "mae"})
        zeros = np.zeros((3, 2))
        wrapped.train_on_batch(inputs_of(wrapped), [zeros, zeros])


class GatesTest(parameterized.TestCase):
    @parameterized.parameters(
        (lambda: layers.Conv2D(6, 3),),
        (lambda: layers.SeparableConv2D(6, 3),),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),),
        (lambda: layers.Conv2DTranspose(6, 3, use_bias=False),),
        (lambda: layers.EinsumDense("...x,xy->...y", 6, bias_axes="y"),),
        (lambda: layers.BatchNormalization(),),
    )
    def test_factors_are_folded_into_weights(self, make):
        channels = 6 if isinstance(make(), layers.BatchNormalization) else 3
        model = keras.Sequential([keras.Input((5, 5, channels)), make()])
        for variable in model.trainable_variables:
            size = int(np.prod(variable.shape))
            values = np.linspace(-1, 1, size).reshape(variable.shape)
            variable.assign(values)
        wrapped = wrap_lib.wrap(model, Gated(), lambda layer: True)
        (wrapper,) = wrapper_lib.find(wrapped)
        wrapper.slots["outputs"]["gate"].assign([0, 1, 2, 0.5, 0, -1])
        plain = wrap_lib.unwrap(wrapped)
        np.testing.assert_allclose(
            outputs_of(plain), outputs_of(wrapped), atol=1e-5
        )
        self.assertGreater(np.abs(outputs_of(model)).max(), 0.1)

    def test_an_activation_in_between_is_an_error(self):
        model = keras.Sequential(
            [keras.Input((4,)), layers.Dense(2, "tanh", name="hot")]
        )
        wrapped = wrap_lib.wrap(model, Gated())
        with self.assertRaisesRegex(ValueError, "'hot'.*Move the activation"):
            wrap_lib.unwrap(wrapped)


class ErrorsTest(parameterized.TestCase):
    @parameterized.parameters(
        "stem*", wrap_lib.convolutions, ([4],), 4, "flatten*"
    )
    def test_what_matches_nothing(self, where):
        model = keras.Sequential(
            [
                keras.Input((4, 2)),
                layers.Flatten(name="flatten"),
                layers.Dense(2, name="logits"),
            ]
        )
        with self.assertRaisesRegex(ValueError, "Received: where="):
            wrap_lib.wrap(model, masked.Masked(), where)

    def test_the_message_names_the_layers(self):
        with self.assertRaisesRegex(ValueError, "block/conv, tail/logits"):
            wrap_lib.wrap(nested(), masked.Masked(), "stem*")

    def test_the_message_names_what_the_method_acts_on(self):
        model = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(2, name="dense"),
                layers.BatchNormalization(name="norm"),
            ]
        )
        message = "where=kernels, which matches none. Slimming acts on: norm"
        with self.assertRaisesRegex(ValueError, message):
            wrap_lib.wrap(model, slimming.Slimming())

    def test_one_match_among_several_is_not_enough(self):
        with self.assertRaisesRegex(ValueError, "'stem'"):
            wrap_lib.wrap(sequential(), masked.Masked(), ["conv", "stem"])

    def test_a_layer_that_is_wrapped_already(self):
        wrapped = wrap_lib.wrap(sequential(), masked.Masked(), "conv")
        with self.assertRaisesRegex(ValueError, "'conv', wrapped.*already"):
            wrap_lib.wrap(wrapped, masked.Masked())
        both = wrap_lib.wrap(wrapped, masked.Masked(), "logits")
        self.assertLen(wrapper_lib.find(both), 2)

    def test_a_layer_shared_with_a_nested_model(self):
        inputs = keras.Input((4,))
        dense = layers.Dense(4, name="both")
        block = keras.Model(inputs, dense(inputs), name="block")
        inputs = keras.Input((4,))
        model = keras.Model(inputs, dense(block(inputs)))
        with self.assertRaisesRegex(ValueError, "shared.*both"):
            wrap_lib.wrap(model, masked.Masked())

    def test_layers_that_share_one_keep_it(self):
        shared = layers.Dense(6, name="shared")
        inputs = keras.Input((5, 8))
        each = layers.TimeDistributed(shared, name="each")(inputs)
        model = keras.Model(
            inputs,
            [
                layers.Dense(2, name="a")(keras.ops.mean(each, 1)),
                layers.Dense(2, name="b")(shared(keras.ops.max(inputs, 1))),
            ],
        )
        with self.assertLogs(level="WARNING") as logs:
            wrapped = wrap_lib.wrap(model, masked.Masked())
        self.assertRegex(str(logs.output), "share.*: each, shared")
        found = {wrapper.name for wrapper in wrapper_lib.find(wrapped)}
        self.assertEqual(found, {"a", "b"})
        x = np.random.default_rng(0).normal(size=(3, 5, 8))
        for copy in (wrapped, wrap_lib.unwrap(wrapped)):
            one = copy.get_layer("shared")
            self.assertIs(copy.get_layer("each").layer, one)
            self.assertLen(copy.trainable_weights, 6)
            for a, b in zip(model(x), copy(x), strict=True):
                np.testing.assert_allclose(to_numpy(a), to_numpy(b), atol=1e-5)
        with self.assertRaisesRegex(ValueError, "share.*: shared"):
            wrap_lib.wrap(model, masked.Masked(), "shared")

    def test_no_method(self):
        with self.assertRaisesRegex(ValueError, "method='masked'"):
            wrap_lib.wrap(sequential(), "masked")
