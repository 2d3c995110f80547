"""Windows over maps whose size or groups are not those of Keras."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.operations import sizes
from tfprune.legacy.operations import tf_functions


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


class WindowsTest(parameterized.TestCase):
    @parameterized.parameters(
        (3, 2, "SAME", 10),
        (3, 2, "SAME", 9),
        (1, 2, "SAME", 10),
        (2, 4, "SAME", 18),
        (4, 3, "SAME", 13),
        (3, 2, "VALID", 11),
        (3, 2, "VALID", 12),
        (2, 3, "VALID", 14),
        (2, 3, "VALID", 16),
    )
    def test_transposed_convolutions_to_any_size(self, k, stride, pad, size):
        import tensorflow as tf

        x, kernel = draw(2, 5, 5, 3), draw(k, k, 4, 3)
        inputs = keras.Input((5, 5, 3))
        wanted = tf.nn.conv2d_transpose(
            x, kernel, [2, size, size, 4], stride, pad
        )
        shape = np.array([sizes.shape(inputs)[0], size, size, 4], object)
        outputs = tf_functions.FUNCTIONS["nn.conv2d_transpose"](
            inputs, kernel.tolist(), shape, stride, pad
        )
        model = keras.Model(inputs, outputs)
        np.testing.assert_allclose(model(x), wanted, rtol=1e-4, atol=1e-5)
        self.assertEmpty(model.trainable_weights)

    @parameterized.parameters(1, 2, 4)
    def test_groups_and_zeros_at_both_ends(self, groups):
        import tensorflow as tf

        x, kernel = draw(2, 6, 6, 4), draw(3, 3, 4 // groups, 8)
        pads = [[0, 0], [1, 2], [3, 0], [0, 0]]
        found = tf_functions.FUNCTIONS["nn.conv2d"](x, kernel, 1, pads)
        wanted = tf.nn.conv2d(tf.pad(x, pads), kernel, 1, "VALID")
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)

    def test_gaps_by_images_of_single_pixels(self):
        import tensorflow as tf

        x, kernel = draw(2, 7, 5, 3), draw(3, 3, 3, 2)
        inputs = keras.Input((7, 5, 3))
        call = tf_functions.FUNCTIONS
        y = call["space_to_batch_nd"](inputs, [2, 2], [[2, 3], [2, 3]])
        y = call["nn.conv2d"](y, kernel, 1, "VALID")
        y = call["batch_to_space_nd"](y, [2, 2], [[0, 1], [0, 1]])
        wanted = tf.nn.conv2d(x, kernel, 1, "SAME", dilations=2)
        found = keras.Model(inputs, y)(x)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)

    def test_what_has_no_counterpart_is_refused(self):
        inputs, call = keras.Input((5, 5, 3)), tf_functions.FUNCTIONS
        kernel = draw(3, 3, 4, 3)
        for message, name, args in (
            ("dilations=2", "transpose", (kernel, [1] * 4, 2, "SAME", None, 2)),
            (
                "channels last",
                "transpose",
                (kernel, [1] * 4, 2, "SAME", "NCHW"),
            ),
            ("must be fixed", "transpose", (keras.Input((3,)), [1] * 4, 2)),
        ):
            with self.assertRaisesRegex(ValueError, message):
                call[f"nn.conv2d_{name}"](inputs, *args)
        with self.assertRaisesRegex(ValueError, "dilations=3"):
            call["nn.pool"](inputs, [2, 2], "MAX", dilations=3)
        with self.assertRaisesRegex(ValueError, r"padding=\[\[0, 0\]"):
            call["nn.max_pool2d"](inputs, 2, 2, [[0, 0]] * 4)


if __name__ == "__main__":
    absltest.main()
