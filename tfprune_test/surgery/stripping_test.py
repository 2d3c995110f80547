import warnings

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.graph import read
from tfprune.selection import budget as budget_lib
from tfprune.selection import cut as cut_lib
from tfprune.surgery import shrinking
from tfprune.surgery import verification
from tfprune_test import exactness
from tfprune_test import models
from tfprune_test.graph import read_test

pytestmark = [pytest.mark.any_backend, pytest.mark.jax]

LAYERS = keras.layers


def net():
    """Dense layers of 3 inputs, 4 and 3 units `a` and `b`, and 2 outputs."""
    inputs = keras.Input((3,))
    x = LAYERS.Dense(4, "tanh", name="a")(inputs)
    x = LAYERS.Dense(3, "tanh", name="b")(x)
    model = keras.Model(inputs, LAYERS.Dense(2, name="c")(x))
    exactness.randomize(model, np.random.default_rng(0))
    return model


def zero(layer, index):
    kernel = np.array(keras.ops.convert_to_numpy(layer.kernel))
    kernel[index] = 0
    layer.kernel.assign(kernel)


def widths(model):
    return [layer.units for layer in model.layers[1:]]


class StripTest(parameterized.TestCase):
    def test_unread_channels_go(self):
        model = net()
        zero(model.get_layer("b"), [1, 3])
        small = tfprune.strip(model)
        self.assertEqual(widths(small), [2, 3, 2])
        for name in ("kernel", "bias"):
            before = np.array(getattr(model.get_layer("a"), name).numpy())
            after = getattr(small.get_layer("a"), name).numpy()
            np.testing.assert_array_equal(after, before[..., [0, 2]])

    def test_what_only_unread_channels_read_goes_too(self):
        model = net()
        zero(model.get_layer("c"), [0, 1])
        zero(model.get_layer("b"), (slice(1, None), 2))
        self.assertEqual(widths(tfprune.strip(model)), [1, 1, 2])

    def test_nothing_goes_without_zeros(self):
        model = net()
        small = tfprune.strip(model)
        self.assertEqual(widths(small), [4, 3, 2])
        self.assertIsNot(small, model)
        for a, b in zip(model.get_weights(), small.get_weights()):
            np.testing.assert_array_equal(a, b)

    def test_one_channel_stays(self):
        model = net()
        zero(model.get_layer("b"), slice(None))
        small = tfprune.strip(model)
        self.assertEqual(widths(small), [1, 1, 2])

    @parameterized.parameters("a", "b", "c")
    def test_weights_that_are_not_finite(self, name):
        for value in (np.nan, np.inf):
            model = net()
            kernel = model.get_layer(name).kernel.numpy()
            kernel[1, 1] = value
            model.get_layer(name).kernel.assign(kernel)
            with self.assertRaisesRegex(
                ValueError, f"NaN or infinity in 'kernel' of layer '{name}'"
            ):
                tfprune.strip(model)

    def test_not_a_model(self):
        with self.assertRaisesRegex(TypeError, "built keras.Model"):
            tfprune.strip(3)

    def test_a_wrong_rule_is_found_out(self):
        @keras.saving.register_keras_serializable("tfprune_test")
        class Cumulated(LAYERS.Layer):
            def call(self, inputs):
                return keras.ops.cumsum(inputs, -1)

        @tfprune.rule("tfprune_test>Cumulated")
        def cumulated(call):
            return call.x.labels

        model = models.around(lambda x: Cumulated()(x), (3,))
        exactness.randomize(model, np.random.default_rng(0))
        zero(model.layers[-1], [0, 2])
        with self.assertRaisesRegex(
            ArithmeticError, "same outputs.*a rule for one of its layers"
        ):
            tfprune.strip(model)
        tfprune.strip(model, verify=False)

    def test_noise_is_the_same_in_both_models(self):
        class Noisy(LAYERS.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.seeds = keras.random.SeedGenerator(3)

            def call(self, inputs):
                noise = keras.random.normal((1, 4), seed=self.seeds)
                return inputs + noise

        model = models.around(lambda x: Noisy()(LAYERS.Dense(4)(x)), (3,))
        zero(model.layers[2], [1, 2])
        before = [np.array(v.numpy()) for v in model.variables]
        small = tfprune.strip(model)
        self.assertEqual(small.layers[1].units, 4)
        for a, b in zip(before, model.variables):
            np.testing.assert_array_equal(a, b.numpy())


class CheckEqualTest(parameterized.TestCase):
    def test_the_difference_is_relative_to_the_largest_output(self):
        model = net()
        other = keras.models.clone_model(model)
        other.set_weights(model.get_weights())
        bias = model.get_layer("c").bias.numpy()
        other.get_layer("c").bias.assign(bias + 0.5)
        inputs = verification.random_inputs(model)
        scale = np.abs(model(inputs)).max()
        error = verification.check_equal(model, other, tolerance=10.0)
        self.assertAlmostEqual(error, 0.5 / scale, places=5)
        with self.assertRaises(ArithmeticError):
            verification.check_equal(model, other)

    def test_what_is_not_finite_must_agree(self):
        inputs = keras.Input((3,))
        root = keras.Model(inputs, keras.ops.log(inputs))
        same = keras.Model(inputs, keras.ops.log(inputs))
        other = keras.Model(inputs, keras.ops.sqrt(inputs) * 0.0)
        self.assertEqual(verification.check_equal(root, same), 0.0)
        with self.assertRaises(ArithmeticError):
            verification.check_equal(root, other)

    def test_statistics_are_not_moved(self):
        inputs = keras.Input((3,))
        x = LAYERS.BatchNormalization()(inputs, training=True)
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        zero(model.layers[-1], 1)
        before = model.get_weights()
        tfprune.strip(model)
        for a, b in zip(before, model.get_weights()):
            np.testing.assert_array_equal(a, b)


class RandomInputsTest(parameterized.TestCase):
    @parameterized.parameters(
        ((3,), (2, 3)),
        ((None, 3), (2, 16, 3)),
        ((None, None, 3), (2, 64, 64, 3)),
    )
    def test_shapes(self, shape, expected):
        inputs = keras.Input(shape)
        model = keras.Model(inputs, LAYERS.ReLU()(inputs))
        self.assertEqual(verification.random_inputs(model).shape, expected)

    @parameterized.parameters(80, 800, 2000)
    def test_unknown_sizes_are_long_enough_for_kernels(self, length):
        inputs = keras.Input((None, 2))
        x = LAYERS.Conv1D(4, length, strides=4, name="long")(inputs)
        x = LAYERS.Conv1D(6, 3, padding="same", activation="relu")(x)
        x = LAYERS.GlobalAveragePooling1D()(x)
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        kernel = np.array(
            keras.ops.convert_to_numpy(model.get_layer("long").kernel)
        )
        kernel[..., 1] = 0
        model.get_layer("long").kernel.assign(kernel)
        small = tfprune.strip(model)
        self.assertEqual(small.get_layer("long").filters, 3)
        pruned = tfprune.prune(model, macs=0.5, input_shape=(2500, 2))
        self.assertEqual(pruned.input_shape, (None, None, 2))

    def test_integers_are_zero_or_one(self):
        inputs = keras.Input((50,), dtype="int32")
        model = keras.Model(inputs, keras.ops.cast(inputs, "float32"))
        x = verification.random_inputs(model)
        self.assertEqual(x.dtype, np.int32)
        self.assertEqual(set(x.reshape(-1).tolist()), {0, 1})

    def test_the_structure_is_that_of_the_model(self):
        model = read_test.two_inputs(True)
        x = verification.random_inputs(model)
        self.assertEqual(
            {k: v.shape for k, v in x.items()}, {"a": (2, 6, 6, 3), "b": (2, 4)}
        )
        sequential = keras.Sequential([keras.Input((3,)), LAYERS.ReLU()])
        self.assertEqual(verification.random_inputs(sequential).shape, (2, 3))


class MaskedTest(parameterized.TestCase):
    def test_zeros_stand_where_removed_channels_are_read(self):
        model = net()
        graph = read.channel_graph(model)
        keep = np.ones(graph.size, bool)
        keep[[3, 4]] = False  # the first two units of a
        masked = shrinking.masked(cut_lib.Cut(graph, keep))
        before, after = model.get_weights(), masked.get_weights()
        self.assertFalse(after[2][:2].any())
        after[2][:2] = before[2][:2]
        for a, b in zip(before, after):
            np.testing.assert_array_equal(a, b)
        self.assertEqual(widths(tfprune.strip(masked)), [2, 3, 2])

    def test_pruned_is_stripped_of_its_masks(self):
        model = models.around(LAYERS.Conv2D(8, 3))
        exactness.randomize(model, np.random.default_rng(0))
        graph = read.channel_graph(model)
        budget = budget_lib.Budget(macs=0.5)
        keep = cut_lib.choose(graph, budget).keep
        pruned = tfprune.prune(model, budget)
        stripped = tfprune.strip(shrinking.masked(cut_lib.Cut(graph, keep)))
        self.assertEqual(str(pruned.get_config()), str(stripped.get_config()))
        for a, b in zip(pruned.get_weights(), stripped.get_weights()):
            np.testing.assert_array_equal(a, b)

    def test_half_precision_is_masked(self):
        model = read_test.mixed_precision()
        graph = read.channel_graph(model)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            masked = shrinking.masked(cut_lib.Cut(graph, graph.frozen))
        for before, after in zip(model.layers[1:], masked.layers[1:]):
            self.assertEqual(after.dtype_policy.name, before.dtype_policy.name)


if __name__ == "__main__":
    absltest.main()
