"""Channels that nothing writes: dropped, moved into biases, or kept."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.surgery import stripping
from tfprune.surgery import verification
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers


def silence(layer, *channels):
    """Zeros the weights that write some channels of a layer; the bias stays.

    Returns:
        The layer.
    """
    kernel = np.array(keras.ops.convert_to_numpy(layer.kernel))
    axis = -2 if "Transpose" in type(layer).__name__ else -1
    np.moveaxis(kernel, axis, 0)[list(channels)] = 0
    layer.kernel.assign(kernel)
    return layer


def assign(variable, *values):
    variable.assign(np.array(values, "float32"))


def functional(layer):
    inputs = keras.Input((4,))
    return keras.Model(inputs, layer(inputs))


class Net:
    """Input, convolution `first` of 4 channels, `body`, reader, classifier.

    Channel 1 of `first` is written by nothing; it holds its bias.
    """

    def __init__(self, reader, body=lambda x: x, bias=0.75, **kwargs):
        inputs = keras.Input(models.IMAGE)
        self.first = LAYERS.Conv2D(4, 3, padding="same", name="first", **kwargs)
        x = body(self.first(inputs))
        self.reader = reader
        self.model = keras.Model(inputs, models.head(reader(x)))
        exactness.randomize(self.model, np.random.default_rng(0))
        silence(self.first, 1)
        if self.first.bias is not None:
            assign(self.first.bias, 0.1, bias, 0.2, 0.3)

    def strip(self):
        small = stripping.strip(self.model)
        inputs = verification.random_inputs(self.model)
        error = exactness.difference(self.model, small, inputs)
        assert error < exactness.TOLERANCE, error
        return small

    def width(self):
        """Channels of `first` after the strip."""
        return self.strip().get_layer("first").filters


class FoldTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("pointwise", lambda: LAYERS.Conv2D(5, 1)),
        ("valid", lambda: LAYERS.Conv2D(5, 3)),
        ("valid_strided", lambda: LAYERS.Conv2D(5, 3, 2)),
        ("valid_dilated", lambda: LAYERS.Conv2D(5, 2, dilation_rate=2)),
        ("pointwise_same", lambda: LAYERS.Conv2D(5, 1, padding="same")),
        ("dense", lambda: LAYERS.Dense(5)),
        ("transposed_pointwise", lambda: LAYERS.Conv2DTranspose(5, 1)),
    )
    def test_a_constant_moves_into_the_bias(self, reader):
        self.assertEqual(Net(reader()).width(), 3)

    def test_the_bias_takes_over_what_was_read(self):
        net = Net(LAYERS.Conv2D(2, 2, name="reader"), bias=0.5)
        kernel = np.zeros((2, 2, 4, 2))
        kernel[..., 1, :] = [1.0, 2.0]
        kernel[0, 0, 0] = 1.0
        net.reader.kernel.assign(kernel)
        assign(net.reader.bias, 10.0, 20.0)
        small = net.strip()
        np.testing.assert_allclose(
            small.get_layer("reader").bias, [10 + 4 * 0.5, 20 + 4 * 1.0]
        )

    @parameterized.named_parameters(
        ("same", lambda: LAYERS.Conv2D(5, 3, padding="same")),
        ("without_bias", lambda: LAYERS.Conv2D(5, 1, use_bias=False)),
        ("transposed", lambda: LAYERS.Conv2DTranspose(5, 3)),
        ("groups", lambda: LAYERS.Conv2D(4, 1, groups=2)),
        ("separable", lambda: LAYERS.SeparableConv2D(5, 3)),
    )
    def test_a_constant_that_no_bias_can_take_is_kept(self, reader):
        self.assertEqual(Net(reader()).width(), 4)

    @parameterized.named_parameters(
        ("same", lambda: LAYERS.Conv2D(5, 3, padding="same")),
        ("without_bias", lambda: LAYERS.Conv2D(5, 1, use_bias=False)),
        ("transposed", lambda: LAYERS.Conv2DTranspose(5, 3)),
        ("separable", lambda: LAYERS.SeparableConv2D(5, 3)),
        ("doubled", lambda: LAYERS.SeparableConv2D(5, 3, depth_multiplier=2)),
        ("pooled", lambda: LAYERS.Conv2D(5, 3, padding="same")),
    )
    def test_a_zero_is_dropped_by_any_reader(self, reader):
        self.assertEqual(Net(reader(), bias=0.0).width(), 3)

    def test_a_zero_of_one_group_is_kept_until_the_other_is_zero(self):
        net = Net(LAYERS.Conv2D(4, 1, groups=2), bias=0.0)
        self.assertEqual(net.width(), 4)
        # Channels 1 and 3 are the second ones of both groups.
        silence(net.first, 3)
        assign(net.first.bias, 0.1, 0.0, 0.2, 0.0)
        self.assertEqual(net.width(), 2)

    @parameterized.named_parameters(
        ("norm", lambda x: LAYERS.BatchNormalization()(x)),
        ("relu", lambda x: LAYERS.ReLU()(x)),
        ("norm_relu", lambda x: LAYERS.ReLU()(LAYERS.BatchNormalization()(x))),
        ("sigmoid", lambda x: keras.ops.sigmoid(x)),
        ("pooling", lambda x: LAYERS.AveragePooling2D(2, padding="same")(x)),
        ("depthwise", lambda x: LAYERS.DepthwiseConv2D(3)(x)),
        ("array", lambda x: x * np.arange(4, dtype="float32")),
        ("twice", lambda x: x * x + x),
        ("upsampling", lambda x: LAYERS.UpSampling2D(2)(x)),
        ("scaled", lambda x: 1.0 - x * 0.5),
    )
    def test_its_value_is_that_at_the_reader(self, body):
        self.assertEqual(Net(LAYERS.Conv2D(5, 3), body).width(), 3)

    @parameterized.named_parameters(
        ("padded", lambda x: LAYERS.ZeroPadding2D(1)(x)),
        (
            "depthwise_same",
            lambda x: LAYERS.DepthwiseConv2D(3, padding="same")(x),
        ),
        ("positions", lambda x: x * np.arange(6, dtype="f").reshape(6, 1, 1)),
    )
    def test_a_value_that_differs_from_place_to_place_is_kept(self, body):
        self.assertEqual(Net(LAYERS.Conv2D(5, 3), body).width(), 4)

    def test_a_dead_relu_is_a_zero(self):
        net = Net(
            LAYERS.Conv2D(5, 3, padding="same"),
            lambda x: LAYERS.ReLU()(x),
            bias=-1.0,
        )
        self.assertEqual(net.width(), 3)

    def test_a_norm_that_is_zero_drops_the_channel(self):
        norm = LAYERS.BatchNormalization()
        net = Net(
            LAYERS.Conv2D(5, 3, padding="same"),
            lambda x: norm(x),
            use_bias=False,
        )
        assign(norm.moving_mean, 0.1, 0.0, 0.2, 0.3)
        assign(norm.beta, 0.1, 0.0, 0.2, 0.3)
        self.assertEqual(net.width(), 3)

    def test_a_channel_added_to_a_written_one_is_kept(self):
        net = Net(
            LAYERS.Conv2D(5, 1),
            lambda x: x + LAYERS.Conv2D(4, 1, name="other")(x),
        )
        self.assertEqual(net.width(), 4)
        silence(net.model.get_layer("other"), 1)
        self.assertEqual(net.width(), 3)

    def test_a_channel_scaled_by_a_gate_of_many_is_kept(self):
        def gate(x):
            return x * LAYERS.Conv2D(1, 1, activation="sigmoid")(x)

        self.assertEqual(Net(LAYERS.Conv2D(5, 1), gate).width(), 4)

    def test_a_constant_gate_of_a_constant_channel(self):
        def excite(x):
            y = LAYERS.GlobalAveragePooling2D(keepdims=True)(x)
            y = LAYERS.Conv2D(4, 1, activation="sigmoid", name="gate")(y)
            return x * y

        net = Net(LAYERS.Conv2D(5, 1), excite)
        # The gate of channel 1 depends on all the others.
        self.assertEqual(net.width(), 4)
        silence(net.model.get_layer("gate"), 1)
        self.assertEqual(net.width(), 3)

    def test_constants_of_constants(self):
        second = LAYERS.Conv2D(3, 1, name="second", activation="sigmoid")
        net = Net(LAYERS.Conv2D(5, 3, name="third"), lambda x: second(x))
        kernel = np.ones((1, 1, 4, 3))
        kernel[0, 0, [0, 2, 3], 2] = 0  # reads the constant channel alone
        second.kernel.assign(kernel)
        small = net.strip()
        self.assertEqual(small.get_layer("first").filters, 3)
        self.assertEqual(small.get_layer("second").filters, 2)

    def test_a_shared_reader_takes_over_what_both_calls_read(self):
        reader = LAYERS.Conv2D(4, 1, name="reader")
        net = Net(
            LAYERS.Conv2D(5, 1),
            lambda x: reader(x) + reader(LAYERS.MaxPooling2D(2, 1, "same")(x)),
        )
        self.assertEqual(net.width(), 3)

    def test_a_shared_reader_of_two_values_keeps_the_channel(self):
        reader = LAYERS.Conv2D(4, 1, name="reader")
        net = Net(
            LAYERS.Conv2D(5, 1), lambda x: reader(x) + reader(x * 2.0 + 1.0)
        )
        self.assertEqual(net.width(), 4)

    def test_a_shared_reader_of_maps_and_vectors(self):
        reader = LAYERS.Dense(4, name="reader")
        pool = LAYERS.GlobalAveragePooling2D()
        net = Net(
            LAYERS.Conv2D(4, 1),
            lambda x: LAYERS.Reshape((1, 1, 4))(reader(pool(x))) * reader(x),
        )
        self.assertEqual(net.width(), 3)

    def test_a_layer_of_constants_keeps_one(self):
        net = Net(LAYERS.Conv2D(5, 1))
        silence(net.first, 0, 1, 2, 3)
        small = net.strip()
        self.assertEqual(small.get_layer("first").filters, 1)
        x = np.random.default_rng(1).normal(size=(3, *models.IMAGE))
        np.testing.assert_allclose(net.model(x), small(x), rtol=1e-4, atol=1e-5)

    def test_a_model_of_zeros_keeps_one_of_each(self):
        net = Net(LAYERS.Conv2D(5, 3))
        for variable in net.model.variables:
            variable.assign(np.zeros(variable.shape))
        small = net.strip()
        self.assertEqual(small.get_layer("first").filters, 1)
        self.assertEqual(small.layers[2].filters, 1)

    def test_an_input_is_never_a_constant(self):
        inputs = keras.Input((3,))
        model = keras.Model(inputs, LAYERS.Dense(2)(LAYERS.ReLU()(inputs)))
        small = stripping.strip(model)
        self.assertEqual(small.count_params(), model.count_params())

    def test_a_value_that_depends_on_the_size_is_kept(self):
        inputs = keras.Input((None, None, 3))
        first = LAYERS.Conv2D(4, 1, name="first")
        x = LAYERS.ZeroPadding2D(1)(first(inputs))
        x = LAYERS.Dense(3)(LAYERS.GlobalAveragePooling2D()(x))
        model = keras.Model(inputs, x)
        exactness.randomize(model, np.random.default_rng(0))
        silence(first, 1)
        small = stripping.strip(model)
        self.assertEqual(small.get_layer("first").filters, 4)
        x = np.random.default_rng(1).normal(size=(2, 9, 7, 3))
        np.testing.assert_allclose(model(x), small(x), rtol=1e-4, atol=1e-5)

    @parameterized.parameters(
        lambda: LAYERS.Dropout(0.5, seed=1),
        LAYERS.BatchNormalization,
        lambda: keras.Sequential(
            [keras.Input((4,)), LAYERS.BatchNormalization()]
        ),
        lambda: functional(LAYERS.Dropout(0.5, seed=1)),
    )
    def test_a_layer_that_is_always_training_makes_no_constants(self, layer):
        inputs = keras.Input((3,))
        first = LAYERS.Dense(4, name="first")
        x = layer()(first(inputs), training=True)
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        exactness.randomize(model, np.random.default_rng(0))
        silence(first, 0, 1, 2)
        small = stripping.strip(model, verify=False)
        self.assertEqual(small.get_layer("first").units, 4)

    def test_a_layer_that_is_always_training_at_every_step(self):
        inputs = keras.Input((2, 3))
        first = LAYERS.Dense(4, name="first")
        each = LAYERS.TimeDistributed(LAYERS.BatchNormalization())
        x = each(first(inputs), training=True)
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        exactness.randomize(model, np.random.default_rng(0))
        silence(first, 0, 1, 2)
        small = stripping.strip(model, verify=False)
        self.assertEqual(small.get_layer("first").units, 4)


class UnstructuredTest(parameterized.TestCase):
    @parameterized.parameters(0.5, 0.9, 0.99)
    def test_zeros_anywhere_are_left_where_they_are(self, rate):
        model = models.around(LAYERS.Conv2D(8, 3))
        rng = np.random.default_rng(0)
        exactness.randomize(model, rng)
        for layer in model.layers:
            if hasattr(layer, "kernel"):
                kernel = np.array(keras.ops.convert_to_numpy(layer.kernel))
                kernel[rng.random(kernel.shape) < rate] = 0
                layer.kernel.assign(kernel)
        small = stripping.strip(model)
        before = [int(np.count_nonzero(w)) for w in model.get_weights()]
        after = [int(np.count_nonzero(w)) for w in small.get_weights()]
        self.assertLessEqual(sum(after), sum(before))
        inputs = verification.random_inputs(model, 3)
        self.assertLess(
            exactness.difference(model, small, inputs), exactness.TOLERANCE
        )


if __name__ == "__main__":
    absltest.main()
