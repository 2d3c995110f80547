import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.patterns import weight_patterns
from tfprune.sparsity import weights

LAYERS = keras.layers
Axes = weight_patterns.Axes


def built(layer, *shape):
    layer.build((None, *shape))
    return layer


class NamesTest(parameterized.TestCase):
    @parameterized.parameters(
        (LAYERS.Dense(3), (4,), ("kernel",)),
        (LAYERS.ReLU(), (4,), ()),
        (LAYERS.SeparableConv1D(3, 2), (8, 4),
         ("depthwise_kernel", "pointwise_kernel")),
        (LAYERS.LSTM(3), (8, 4), ("cell.kernel", "cell.recurrent_kernel")),
        (LAYERS.Embedding(5, 3), (8,), ("embeddings",)),
        (LAYERS.TimeDistributed(LAYERS.Dense(3)), (8, 4), ("layer.kernel",)),
        (LAYERS.BatchNormalization(), (4,), ()),
    )  # fmt: skip
    def test_names(self, layer, shape, expected):
        self.assertEqual(weights.names(built(layer, *shape)), expected)

    def test_a_weight_that_goes_by_two_names_is_listed_once(self):
        class Twice(LAYERS.Layer):
            def build(self, shape):
                self.kernel = self.add_weight(shape=(2, 3))
                self.embeddings = self.kernel

        self.assertEqual(weights.names(built(Twice(), 2)), ("kernel",))

    def test_a_quantized_layer_has_none(self):
        layer = built(LAYERS.Dense(3), 4)
        layer.quantize("int8")
        self.assertEqual(weights.names(layer), ())

    def test_a_path_that_leads_nowhere(self):
        layer = built(LAYERS.Dense(3), 4)
        self.assertIs(weights.variable(layer, "kernel"), layer.kernel)
        for name in ("cell.kernel", "units", "name.kernel", "none"):
            self.assertIsNone(weights.variable(layer, name))

    def test_scales(self):
        norm = LAYERS.BatchNormalization
        self.assertEqual(weights.scales(built(norm(), 4)), ("gamma",))
        self.assertEqual(weights.scales(built(norm(scale=False), 4)), ())
        self.assertEqual(
            weights.scales(built(LAYERS.LayerNormalization(), 4)), ()
        )


class AxesTest(parameterized.TestCase):
    @parameterized.parameters(
        (LAYERS.Dense(3), (4,), "kernel", (0,), (1,)),
        (LAYERS.Conv2D(3, 2), (8, 8, 4), "kernel", (2,), (3,)),
        (LAYERS.Conv2DTranspose(3, 2), (8, 8, 4), "kernel", (3,), (2,)),
        (LAYERS.Conv1DTranspose(3, 2), (8, 4), "kernel", (2,), (1,)),
        (LAYERS.Embedding(5, 3), (8,), "embeddings", (0,), (1,)),
        (LAYERS.LSTM(3), (8, 4), "cell.recurrent_kernel", (0,), (1,)),
        (LAYERS.EinsumDense("axc,cd->axd", (8, 3)), (8, 4),
         "kernel", (0,), (1,)),
        (LAYERS.EinsumDense("...x,yx->...y", 3), (8, 4),
         "kernel", (1,), (0,)),
        (LAYERS.EinsumDense("abc,cde->abde", (None, 2, 3)), (8, 4),
         "kernel", (0,), (1, 2)),
        # The weight of the layer within.
        (LAYERS.SpectralNormalization(LAYERS.Conv2DTranspose(3, 2)),
         (8, 8, 4), "kernel", (3,), (2,)),
        (LAYERS.TimeDistributed(LAYERS.SpectralNormalization(
            LAYERS.EinsumDense("...x,yx->...y", 3))), (8, 4),
         "layer.kernel", (1,), (0,)),
        # A weight for each place: x neither reads nor writes.
        (LAYERS.EinsumDense("axc,xcd->axd", (8, 3)), (8, 4),
         "kernel", (1,), (2,)),
    )  # fmt: skip
    def test_axes(self, layer, shape, name, reads, writes):
        self.assertEqual(
            weights.axes(built(layer, *shape), name), Axes(reads, writes)
        )


class ScaleOutputsTest(parameterized.TestCase):
    @parameterized.parameters(
        (LAYERS.Dense(3), (4,)),
        (LAYERS.Dense(3, use_bias=False), (4,)),
        (LAYERS.Conv2D(3, 2), (5, 5, 4)),
        (LAYERS.Conv1DTranspose(3, 2), (5, 4)),
        (LAYERS.SeparableConv2D(3, 2), (5, 5, 4)),
        (LAYERS.DepthwiseConv2D(2, depth_multiplier=3), (5, 5, 2)),
        (LAYERS.DepthwiseConv1D(2), (5, 4)),
        (LAYERS.EinsumDense("axc,cd->axd", (5, 3), bias_axes="d"), (5, 4)),
        (LAYERS.BatchNormalization(), (5, 4)),
        (LAYERS.SpectralNormalization(LAYERS.Conv2D(3, 2)), (5, 5, 4)),
        (LAYERS.SpectralNormalization(LAYERS.DepthwiseConv2D(2)), (5, 5, 2)),
        (LAYERS.BatchNormalization(center=False), (5, 4)),
    )
    def test_the_outputs_are_multiplied(self, layer, shape):
        layer = built(layer, *shape)
        rng = np.random.default_rng(0)
        for variable in layer.weights:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        x = rng.normal(size=(2, *shape)).astype("float32")
        before = keras.ops.convert_to_numpy(layer(x))
        factors = np.array([0, -1, 0.5, 2, 3, 4])[: before.shape[-1]]
        weights.scale_outputs(layer, factors.astype("float32"))
        after = keras.ops.convert_to_numpy(layer(x))
        np.testing.assert_allclose(after, factors * before, atol=1e-4)

    @parameterized.parameters(
        (LAYERS.Dense(3, "relu"), (4,)),
        (LAYERS.Dense(3, activation=LAYERS.ReLU()), (4,)),
        (LAYERS.Conv2D(3, 2, activation="leaky_relu"), (5, 5, 4)),
        (LAYERS.SpectralNormalization(LAYERS.Dense(3, "relu")), (4,)),
    )
    def test_factors_of_at_least_0_pass_relu(self, layer, shape):
        layer = built(layer, *shape)
        x = np.random.default_rng(0).normal(size=(2, *shape))
        before = keras.ops.convert_to_numpy(layer(x))
        factors = np.array([0, 0.5, 2], "float32")
        weights.scale_outputs(layer, factors)
        after = keras.ops.convert_to_numpy(layer(x))
        np.testing.assert_allclose(after, factors * before, atol=1e-4)

    def test_a_layer_of_ones_own_without_a_bias(self):
        class Mixer(LAYERS.Layer):
            def build(self, shape):
                self.kernel = self.add_weight(shape=(shape[-1], 2))

        layer = built(Mixer(), 3)
        before = keras.ops.convert_to_numpy(layer.kernel)
        weights.scale_outputs(layer, np.array([2, 0.0], "float32"))
        np.testing.assert_allclose(layer.kernel, before * [2, 0])

    @parameterized.parameters(
        (LAYERS.Dense(3, "relu"), (4,)),
        (LAYERS.Dense(3, "tanh"), (4,)),
        (LAYERS.Dense(3, "relu"), (4,)),
        (LAYERS.Dense(3, activation=LAYERS.ReLU(6.0)), (4,)),
        (LAYERS.BatchNormalization(scale=False), (4,)),
        (LAYERS.BatchNormalization(scale=False, center=False), (4,)),
        (LAYERS.ReLU(), (4,)),
        (LAYERS.LSTM(3), (5, 4)),
        (LAYERS.Embedding(5, 3), (4,)),
    )
    def test_layers_whose_weights_cannot_do_it(self, layer, shape):
        layer = built(layer, *shape)
        before = [keras.ops.convert_to_numpy(v) for v in layer.weights]
        with self.assertRaisesRegex(
            ValueError, f"layer {layer.name!r} of type {type(layer).__name__}"
        ):
            weights.scale_outputs(layer, -np.ones(3, "float32"))
        for a, b in zip(before, layer.weights, strict=True):
            np.testing.assert_array_equal(a, b)

    @parameterized.parameters(
        (1, "e", "none"), (2, "e", "bias has none"), (3, "d", "bias has none")
    )
    def test_axes_along_which_a_weight_does_not_differ(self, axis, bias, why):
        layer = LAYERS.EinsumDense("abc,cde->abde", (5, 2, 3), bias_axes=bias)
        layer = built(layer, 5, 4)
        before = [keras.ops.convert_to_numpy(v) for v in layer.weights]
        shape = [1, 1, 1, 1]
        shape[axis] = (5, 2, 3)[axis - 1]
        with self.assertRaisesRegex(ValueError, f"layer {layer.name!r}.*{why}"):
            weights.scale_outputs(layer, np.zeros(shape, "float32"))
        for a, b in zip(before, layer.weights, strict=True):
            np.testing.assert_array_equal(a, b)

    @parameterized.parameters(
        (LAYERS.EinsumDense("abc,cde->abde", (5, 2, 3), bias_axes="de"), 2),
        (LAYERS.EinsumDense("abc,cde->abde", (5, 2, 3), bias_axes="de"), 3),
        (LAYERS.EinsumDense("abc,cde->abde", (5, 2, 3), bias_axes="d"), 2),
        (LAYERS.EinsumDense("abc,cd->adb", (6, 5), bias_axes="d"), 1),
        (LAYERS.EinsumDense("...c,cde->...de", (2, 3), bias_axes="e"), 3),
        (LAYERS.EinsumDense("ab...,bd->ad...", (6, 4), bias_axes="d"), 1),
        (LAYERS.EinsumDense("xyc,ycd->xyd", (5, 3)), 1),
        (LAYERS.BatchNormalization(axis=1), 1),
    )
    def test_factors_along_one_of_several_axes(self, layer, axis):
        layer = built(layer, 5, 4)
        rng = np.random.default_rng(0)
        for variable in layer.weights:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        x = rng.normal(size=(2, 5, 4)).astype("float32")
        before = keras.ops.convert_to_numpy(layer(x))
        shape = [1] * before.ndim
        shape[axis] = -1
        factors = rng.normal(size=before.shape[axis]).reshape(shape)
        weights.scale_outputs(layer, factors.astype("float32"))
        after = keras.ops.convert_to_numpy(layer(x))
        np.testing.assert_allclose(after, factors * before, atol=1e-4)

    @parameterized.parameters(
        LAYERS.Dense(5), LAYERS.Conv1D(5, 1), LAYERS.BatchNormalization()
    )
    def test_factors_along_an_axis_of_positions(self, layer):
        layer = built(layer, 5, 5)
        with self.assertRaisesRegex(ValueError, "has none there"):
            weights.scale_outputs(layer, np.zeros((1, 5, 1), "float32"))


if __name__ == "__main__":
    absltest.main()
