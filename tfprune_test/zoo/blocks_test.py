import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.zoo import blocks


def padded(x, kernel, strides):
    """A convolution of one channel as PyTorch counts it, by loops."""
    size, half = len(kernel), len(kernel) // 2
    x = np.pad(x, half)
    places = range(0, x.shape[0] - size + 1, strides)
    return [
        [np.sum(x[i : i + size, j : j + size] * kernel) for j in places]
        for i in places
    ]


class ConvTest(parameterized.TestCase):
    @parameterized.product(
        kind=("conv", "depthwise"),
        size=(6, 7),
        kernel=(1, 3, 5),
        strides=(1, 2),
    )
    def test_it_pads_as_pytorch_does(self, kind, size, kernel, strides):
        inputs = keras.Input((size, size, 1))
        if kind == "conv":
            x = blocks.conv(inputs, 1, kernel, strides, name="c")
        else:
            x = blocks.depthwise(inputs, kernel, strides, name="c")
        model = keras.Model(inputs, x)
        rng = np.random.default_rng(0)
        weights = rng.normal(size=(kernel, kernel))
        self.assertLen(model.weights, 1)  # No bias.
        model.get_layer("c").kernel.assign(weights[..., None, None])
        image = rng.normal(size=(size, size))
        found = keras.ops.convert_to_numpy(model(image[None, ..., None]))
        np.testing.assert_allclose(
            found[0, ..., 0], padded(image, weights, strides), atol=1e-5
        )
        self.assertEqual(found.shape[1], -(-size // strides))


class WidthsTest(parameterized.TestCase):
    def test_the_default_is_copied(self):
        default = (4, 8)
        self.assertEqual(blocks.checked_widths(None, default, "block"), [4, 8])

    @parameterized.parameters(([3, 5],), ((3, 5),), (np.array([3, 5]),))
    def test_they_become_plain_ints(self, widths):
        found = blocks.checked_widths(widths, (4, 8), "block")
        self.assertEqual(found, [3, 5])
        self.assertEqual({type(width) for width in found}, {int})

    @parameterized.parameters(
        ([3],), ([3, 5, 7],), ([],), ([3, 0],), ([-1, 5],)
    )
    def test_their_number_and_their_sign(self, widths):
        with self.assertRaisesRegex(
            ValueError,
            f"positive int per block, 2 in all. Received: {len(widths)} widths",
        ):
            blocks.checked_widths(widths, (4, 8), "block")

    def test_a_fraction_is_not_cut_off(self):
        with self.assertRaisesRegex(ValueError, r"widths=\[3, 5.7\]"):
            blocks.checked_widths([3, 5.7], (4, 8), "block")


if __name__ == "__main__":
    absltest.main()
