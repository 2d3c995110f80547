import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.layers import parts
from tfprune.legacy.layers import quantized

CONFIG = {"name": "quant_dense"}


def dense():
    """The part of a dense layer that a wrapper holds."""
    layer = keras.layers.Dense(2, name="dense")
    layer.build((None, 3))
    return parts.Part("dense", [layer])


class QuantizedTest(parameterized.TestCase):
    @parameterized.parameters(
        (
            "QuantizeAnnotate",
            "quant_dense: without its quantization annotation",
        ),
        ("QuantizeWrapperV2", "quant_dense: not rounded as in training"),
    )
    def test_the_layer_inside_is_what_is_left(self, name, expected):
        inner = dense()
        part, note = quantized.build(name, CONFIG, inner)
        self.assertEqual(note, expected)
        self.assertEqual(part.layers, inner.layers)

    def test_ranges_and_steps_are_no_weights(self):
        kernel = np.arange(6, dtype="float32").reshape(3, 2)
        bias = np.ones(2, "float32")
        part, _ = quantized.build("QuantizeWrapper", CONFIG, dense())
        part.assign(
            [
                ("dense/kernel:0", kernel),
                ("dense/bias:0", bias),
                ("dense/kernel_min:0", np.float32(-1)),
                ("dense/kernel_max:0", np.float32(1)),
                ("quant_dense/optimizer_step:0", np.int32(-1)),
            ]
        )
        (layer,) = part.layers
        np.testing.assert_array_equal(layer.kernel, kernel)
        np.testing.assert_array_equal(layer.bias, bias)

    def test_a_quantization_layer_passes_its_input(self):
        part, note = quantized.build("QuantizeLayer", {"name": "a/b"}, None)
        x = np.arange(3.0)
        np.testing.assert_array_equal(part(x), x)
        self.assertEqual(part.layers[0].name, "a_b")
        self.assertEqual(note, "a/b: inputs are not quantized")
        self.assertTrue(part.leaves([("a/b_min:0", np.float32(0))]))


if __name__ == "__main__":
    absltest.main()
