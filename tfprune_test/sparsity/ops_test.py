import math

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.sparsity import ops
from tfprune_test.gradients import gradients

pytestmark = [pytest.mark.any_backend, pytest.mark.jax]


class StepTest(parameterized.TestCase):
    @parameterized.parameters(
        ("linear", lambda x: 1.0),
        ("leaky", lambda x: 1.0 if x > 0 else 0.1),
        ("softplus", lambda x: 1 / (1 + math.exp(-x))),
    )
    def test_gradient_is_that_of_the_surrogate(self, name, slope):
        x = np.array([-1.0, -0.1, 0.0, 0.3, 2.0], "float32")
        (found,) = gradients(lambda x: ops.step(x, name), x)
        expected = np.vectorize(slope)(x)
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    @parameterized.parameters(*ops.SURROGATES)
    def test_values_are_zeros_and_ones_exactly(self, name):
        x = np.random.default_rng(0).normal(size=1000).astype("float32")
        found = keras.ops.convert_to_numpy(ops.step(x, name))
        np.testing.assert_array_equal(found, x > 0)

    def test_an_unknown_surrogate_lists_the_known(self):
        with self.assertRaisesRegex(ValueError, "linear, leaky.*'tanh'"):
            ops.step(np.ones(2, "float32"), "tanh")


class RoundTest(parameterized.TestCase):
    def test_rounds_exactly_with_gradient_one(self):
        x = np.random.default_rng(0).normal(scale=9, size=1000)
        x = x.astype("float32")
        found = keras.ops.convert_to_numpy(ops.round(x))
        np.testing.assert_array_equal(found, np.round(x))
        (slope,) = gradients(ops.round, x[:5])
        np.testing.assert_allclose(slope, np.ones(5), rtol=1e-5)


class SoftThresholdTest(parameterized.TestCase):
    def test_published_values_and_gradients(self):
        weights = np.array([0.5, -0.2, 0.05], "float32")
        s = np.array(-2.0, "float32")

        def shrunk(w, s):
            return ops.soft_threshold(w, keras.ops.sigmoid(s))

        values = keras.ops.convert_to_numpy(shrunk(weights, s))
        np.testing.assert_allclose(values, [0.380797, -0.080797, 0], atol=1e-6)
        dw, ds = gradients(shrunk, weights, s, upstream=[1.0, 2.0, 3.0])
        np.testing.assert_allclose(dw, [1, 2, 0], atol=1e-6)
        np.testing.assert_allclose(ds, 0.104994, atol=1e-6)


class MaskedTest(parameterized.TestCase):
    @parameterized.parameters(
        ("masked", [1.0, 0.0, 3.0]), ("straight_through", [1.0, 2.0, 3.0])
    )
    def test_masked_entries_are_zero_whatever_their_gradient(self, how, slope):
        x = np.array([0.1, 7.0, -2.3], "float32")
        mask = np.array([True, False, True])
        values = keras.ops.convert_to_numpy(ops.masked(x, mask, how))
        np.testing.assert_array_equal(values, x * mask)
        (found,) = gradients(
            lambda x: ops.masked(x, mask, how), x, upstream=[1.0, 2.0, 3.0]
        )
        np.testing.assert_allclose(found, slope, rtol=1e-5)
