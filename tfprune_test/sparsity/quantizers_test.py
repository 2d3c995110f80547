import keras
import numpy as np
from absl.testing import parameterized

from tfprune.sparsity import quantizers
from tfprune_test.gradients import gradients

to_numpy = keras.ops.convert_to_numpy

V = np.array([0.0, 0.3, 1.0], "float32")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


class UniformTest(parameterized.TestCase):
    @parameterized.parameters(
        (1, [0, 0, 1]), (2, [0, 0.333333, 1]), (3, [0, 0.285714, 1])
    )
    def test_levels_written_by_hand(self, bits, expected):
        found = to_numpy(quantizers.uniform(V, bits))
        np.testing.assert_allclose(found, expected, atol=1e-6)

    @parameterized.parameters(1, 2, 5, 8)
    def test_values_go_to_the_nearest_of_all_levels(self, bits):
        x = normal(500)
        levels = np.linspace(x.min(), x.max(), 2**bits)
        nearest = levels[np.abs(x[:, None] - levels).argmin(1)]
        found = to_numpy(quantizers.uniform(x, bits))
        np.testing.assert_allclose(found, nearest, atol=1e-5)
        self.assertLessEqual(len(np.unique(found)), 2**bits)

    def test_values_beyond_the_ends_become_the_ends(self):
        x = np.array([-3.0, 0.4, 7.0], "float32")
        found = to_numpy(quantizers.uniform(x, 1, 0.0, 2.0))
        np.testing.assert_array_equal(found, [0, 0, 2])

    @parameterized.parameters(0.0, -1.5)
    def test_between_equal_ends_there_is_one_level(self, end):
        x = np.array([-3.0, end, 0.4, 7.0], "float32")
        found = to_numpy(quantizers.uniform(x, 2, end, end))
        np.testing.assert_array_equal(found, np.full(4, end))
        found = to_numpy(quantizers.interpolated(x, 2.5, end, end))
        np.testing.assert_array_equal(found, np.full(4, end))

    @parameterized.parameters(0.0, -1.5, 3e-30)
    def test_equal_values_stay(self, value):
        x = np.full((2, 3), value, "float32")
        np.testing.assert_array_equal(to_numpy(quantizers.uniform(x, 3)), x)

    @parameterized.parameters(1e-37, 1e-34, 1e-31)
    def test_the_smallest_values_stay_numbers(self, value):
        x = np.array([0.0, 0.3, 1.0], "float32") * np.float32(value)
        for found in quantizers.uniform(x, 8), quantizers.interpolated(x, 8.5):
            np.testing.assert_allclose(to_numpy(found), x, rtol=0, atol=value)

    def test_half_precision_is_computed_in_single(self):
        # 2^16 - 1 is not finite in float16.
        x = np.linspace(-1, 1, 9).astype("float16")
        found = to_numpy(quantizers.uniform(x, np.float16(16)))
        self.assertEqual(found.dtype, np.float32)
        np.testing.assert_allclose(found, x, atol=2e-5)


class InterpolatedTest(parameterized.TestCase):
    def test_values_written_by_hand(self):
        found = to_numpy(quantizers.interpolated(V, 2.25))
        np.testing.assert_allclose(found, [0, 0.321429, 1], atol=1e-6)

    @parameterized.parameters(0, 1, 2)
    def test_gradients_written_by_hand(self, i):
        upstream = np.eye(3)[i]
        to_values, to_bits = gradients(
            quantizers.interpolated, V, 2.25, upstream=upstream
        )
        np.testing.assert_allclose(to_values, upstream, atol=1e-6)
        expected = [0, -0.047619, 0][i]
        np.testing.assert_allclose(to_bits, expected, atol=1e-6)

    @parameterized.parameters(1.3, 2.5, 4.75, 7.5)
    def test_gradient_of_bits_is_the_numerical_one(self, bits):
        x, upstream = normal(60), normal(60, seed=1)

        def total(bits):
            found = quantizers.interpolated(x, np.float32(bits))
            return float(np.sum(to_numpy(found) * upstream, dtype=float))

        step = 2.0**-4  # Between integers the function is linear.
        numerical = (total(bits + step) - total(bits - step)) / (2 * step)
        (found,) = gradients(
            lambda n: quantizers.interpolated(x, n), bits, upstream=upstream
        )
        np.testing.assert_allclose(found, numerical, rtol=2e-3, atol=2e-5)

    @parameterized.parameters(1, 3, 8)
    def test_gradient_at_an_integer_is_that_to_its_right(self, bits):
        x, upstream = normal(60), normal(60, seed=1)
        (found,) = gradients(
            lambda n: quantizers.interpolated(x, n),
            float(bits),
            upstream=upstream,
        )
        finer = to_numpy(quantizers.uniform(x, bits + 1))
        change = finer - to_numpy(quantizers.uniform(x, bits))
        np.testing.assert_allclose(
            found, np.sum(change * upstream), rtol=1e-4, atol=1e-6
        )

    def test_gradient_of_all_values_is_one_at_the_ends_too(self):
        x = normal(20)
        (found,) = gradients(lambda x: quantizers.interpolated(x, 2.5), x)
        np.testing.assert_allclose(found, np.ones(20), atol=1e-6)

    @parameterized.parameters(1, 2, 8)
    def test_an_integer_gives_the_levels_exactly(self, bits):
        x = normal(99)
        np.testing.assert_array_equal(
            to_numpy(quantizers.interpolated(x, bits)),
            to_numpy(quantizers.uniform(x, bits)),
        )

    @parameterized.parameters(1.0, 2.5)
    def test_zeros_stay_where_asked_and_learn(self, bits):
        x = np.array([-1.0, 0.0, 0.2, 2.0], "float32")
        plain = to_numpy(quantizers.interpolated(x, bits))
        found = to_numpy(quantizers.interpolated(x, bits, keep_zeros=True))
        self.assertNotEqual(plain[1], 0)
        plain[1] = 0
        np.testing.assert_array_equal(found, plain)
        (slope,) = gradients(
            lambda x: quantizers.interpolated(x, bits, keep_zeros=True), x
        )
        np.testing.assert_allclose(slope, np.ones(4), atol=1e-6)
