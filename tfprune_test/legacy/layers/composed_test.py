"""Layers that Keras 3 lacks, against the same in numpy."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.layers import composed

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(size=shape).astype("float32")


def made(name, config, x, arrays=(), version="2"):
    """What a layer of an old file computes on an input."""
    build = composed.builder(name, config, version)
    part = build({"name": "old", **config})
    part(keras.KerasTensor(np.shape(x)))  # Builds its layers.
    if arrays:
        part.assign([(f"w{i}:0", array) for i, array in enumerate(arrays)])
    return keras.ops.convert_to_numpy(part(keras.ops.convert_to_tensor(x)))


class ComposedTest(parameterized.TestCase):
    def test_a_threshold(self):
        x = draw(2, 5)
        found = made("ThresholdedReLU", {"theta": 0.5}, x)
        np.testing.assert_array_equal(found, np.where(x > 0.5, x, 0))

    @parameterized.parameters("Layer", "RandomHeight", "RandomWidth")
    def test_a_layer_that_hands_on(self, name):
        x = draw(2, 3, 4, 1)
        np.testing.assert_array_equal(made(name, {}, x, []), x)

    def test_a_highway_gates_its_input(self):
        x = draw(3, 4)
        # Kernels first, then biases: of the value and of the gate.
        kernels, biases = [draw(4, 4), draw(4, 4)], [draw(4), draw(4)]
        arrays = [kernels[0], kernels[1], biases[0], biases[1]]
        found = made("Highway", {"activation": "tanh"}, x, arrays)
        gate = 1 / (1 + np.exp(-(x @ kernels[1] + biases[1])))
        value = np.tanh(x @ kernels[0] + biases[0])
        wanted = gate * value + (1 - gate) * x
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)

    def test_maxout_takes_the_largest_feature(self):
        x, kernel, bias = draw(3, 4), draw(2, 4, 5), draw(2, 5)
        config = {"nb_feature": 2, "output_dim": 5}
        found = made("MaxoutDense", config, x, [kernel, bias])
        wanted = (np.einsum("ni,fiu->nfu", x, kernel) + bias).max(1)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)

    @parameterized.parameters(
        ("sum", np.add), ("mul", np.multiply), ("max", np.maximum)
    )
    def test_a_merge_by_its_mode(self, mode, function):
        a, b = draw(2, 3), draw(2, 3)
        part = composed.builder("Merge", {})({"name": "old", "mode": mode})
        found = keras.ops.convert_to_numpy(part([a, b]))
        np.testing.assert_allclose(found, function(a, b), rtol=1e-6)

    def test_a_merge_by_code_is_refused(self):
        build = composed.builder("Merge", {})
        with self.assertRaisesRegex(ValueError, "Received: mode='mine'.*'old'"):
            build({"name": "old", "mode": "mine"})

    @parameterized.parameters(False, True)
    def test_batch_normalization_over_two_axes(self, renorm):
        x = draw(3, 4, 5, 2)
        config = {"axis": [1, 3], "epsilon": 1e-3, "renorm": renorm}
        config |= {"center": True, "scale": True}
        gamma, beta, mean = draw(4, 2), draw(4, 2), draw(4, 2)
        variance = draw(4, 2) ** 2 + 0.5
        arrays = [gamma, beta, mean, variance]
        more = [draw(4, 2)] * 3 if renorm else []
        found = made("BatchNormalization", config, x, [*arrays, *more])
        gamma, beta, mean, variance = (a[None, :, None] for a in arrays)
        wanted = gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)

    @parameterized.parameters(1, 2)
    def test_a_separable_convolution_of_earlier_steps(self, rate):
        x, depthwise, pointwise = draw(2, 9, 2), draw(3, 2, 1), draw(1, 2, 4)
        config = {
            "filters": 4,
            "kernel_size": [3],
            "dilation_rate": [rate],
            "padding": "causal",
            "use_bias": False,
        }
        found = made("SeparableConv1D", config, x, [depthwise, pointwise])
        before = np.pad(x, [(0, 0), (2 * rate, 0), (0, 0)])
        each = sum(
            before[:, i * rate :][:, :9] * depthwise[i, :, 0] for i in range(3)
        )
        wanted = each @ pointwise[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)

    @parameterized.product(size=([2, 3], [1, 4]), first=(False, True))
    def test_bilinear_upsampling_of_keras_2_3(self, size, first):
        x = draw(2, 3, 4, 2)
        wanted = x
        for axis, times in zip((1, 2), size, strict=True):
            at = np.arange(x.shape[axis] * times) / times
            low = at.astype(int)
            high = np.minimum(low + 1, x.shape[axis] - 1)
            share = (at - low).reshape([-1, *[1] * (3 - axis)])
            wanted = (1 - share) * wanted.take(low, axis) + (
                share * wanted.take(high, axis)
            )
        config = {"size": size, "interpolation": "bilinear"}
        if first:
            config["data_format"] = "channels_first"
            x, wanted = (np.moveaxis(a, -1, 1) for a in (x, wanted))
        found = made("UpSampling2D", config, x, version="2.2.4")
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)

    @parameterized.parameters("2", "2.2.4-tf", "2.4.0", "2.15.0")
    def test_later_bilinear_upsampling_is_that_of_keras_3(self, version):
        config = {"size": [2, 2], "interpolation": "bilinear"}
        found = composed.builder("UpSampling2D", config, version)
        self.assertIsNone(found)

    @parameterized.product(padding=("same", "valid"), rate=(2, 3), size=(2, 3))
    def test_a_dilated_transposed_convolution(self, padding, rate, size):
        x, kernel = draw(1, 9, 2), draw(size, 3, 2)
        config = {
            "filters": 3,
            "kernel_size": [size],
            "padding": padding,
            "dilation_rate": [rate],
            "use_bias": False,
        }
        found = made("Conv1DTranspose", config, x, [kernel])
        reach = (size - 1) * rate
        wanted = np.zeros((1, 9 + reach, 3))
        for tap in range(size):
            wanted[:, tap * rate :][:, :9] += x @ kernel[tap].T
        if padding == "same":
            wanted = wanted[:, reach // 2 :][:, :9]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)

    def test_what_keras_3_has_is_left_to_it(self):
        self.assertIsNone(composed.builder("Dense", {}))
        self.assertIsNone(composed.builder("BatchNormalization", {"axis": [3]}))
        plain = {"dilation_rate": [1, 1]}
        self.assertIsNone(composed.builder("Conv2DTranspose", plain))


if __name__ == "__main__":
    absltest.main()
