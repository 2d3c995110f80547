"""Kernels by a loop over positions; `meaning_test` compares with Keras 2."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.layers import locally_connected

RNG = np.random.default_rng(0)


class BuilderTest(parameterized.TestCase):
    @parameterized.parameters((1, "valid"), (2, "valid"), (2, "same"))
    def test_each_position_has_a_kernel_of_its_own(self, stride, padding):
        config = {
            "name": "local",
            "kernel_size": [3],
            "strides": [stride],
            "padding": padding,
            "filters": 2,
            "activation": "relu",
            "use_bias": True,
        }
        x = RNG.normal(size=(4, 7, 3)).astype("float32")
        part = locally_connected.builder(1)(config)
        part(keras.ops.convert_to_tensor(x))
        rows = x
        if padding == "same":
            rows = np.pad(x, ((0, 0), (1, 3), (0, 0)))
        count = -(-7 // stride) if padding == "same" else (7 - 3) // stride + 1
        kernel = RNG.normal(size=(count, 9, 2)).astype("float32")
        bias = RNG.normal(size=(count, 2)).astype("float32")
        wanted = np.stack(
            [
                rows[:, i * stride : i * stride + 3].reshape(4, 9) @ kernel[i]
                + bias[i]
                for i in range(count)
            ],
            axis=1,
        )
        part.assign([("kernel", kernel), ("bias", bias)])
        found = keras.ops.convert_to_numpy(part(keras.ops.convert_to_tensor(x)))
        np.testing.assert_allclose(found, np.maximum(wanted, 0), atol=1e-5)


class HelpersTest(parameterized.TestCase):
    @parameterized.parameters(
        ((7, 8), (3, 3), (1, 2), False, (5, 3)),
        ((7, 8), (3, 3), (2, 3), True, (4, 3)),
    )
    def test_outputs(self, inputs, size, strides, same, expected):
        found = locally_connected._outputs(inputs, size, strides, same)
        self.assertEqual(found, expected)

    @parameterized.parameters(True, False)
    def test_a_dense_and_a_sparse_kernel_hold_the_same_weights(self, sparse):
        # Three inputs of one channel, two outputs, windows of two.
        index = locally_connected._index(
            (3, 1), (2, 1), (2,), (1,), False, False
        )
        if sparse:
            values = np.array([1.0, 2.0, 3.0, 4.0])
        else:
            # Rows are inputs, columns outputs.
            values = np.array([[1.0, 0.0], [2.0, 3.0], [0.0, 4.0]]).ravel()
        found = locally_connected._at(index, values, sparse)
        np.testing.assert_array_equal(
            found.reshape(2, 2), [[1.0, 2.0], [3.0, 4.0]]
        )

    def test_a_bias_of_channels_first(self):
        bias = np.arange(6.0).reshape(3, 2)  # Stored as (positions, filters).
        found = locally_connected._bias(bias, (3,), 2, True)
        np.testing.assert_array_equal(found, [[0, 3], [1, 4], [2, 5]])
        found = locally_connected._bias(bias, (3,), 2, False)
        np.testing.assert_array_equal(found, bias)


if __name__ == "__main__":
    absltest.main()
