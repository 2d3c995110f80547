import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.layers import parts
from tfprune.legacy.layers import quantized

CONFIG = {"name": "quant_dense"}
KERNEL, BIAS = np.ones((3, 2)), np.zeros(2)


def dense():
    """The part of a dense layer that a wrapper holds."""
    layer = keras.layers.Dense(2, name="dense")
    layer.build((None, 3))
    return parts.Part("dense", [layer])


def weights(end=""):
    """What a file holds of a wrapped dense layer."""
    return [
        (f"dense/kernel{end}", KERNEL),
        (f"dense/bias{end}", BIAS),
        (f"a/quant_dense/optimizer_step{end}", np.int32(-1)),
        (f"a/quant_dense/kernel_min{end}", np.float32(-1)),
        (f"a/quant_dense/kernel_max{end}", np.float32(1)),
        (f"a/quant_dense/post_activation_min{end}", np.float32(-0.5)),
        (f"a/quant_dense/post_activation_max{end}", np.float32(6)),
    ]


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

    def test_a_quantization_layer_passes_its_input(self):
        part, note = quantized.build("QuantizeLayer", {"name": "a/b"}, None)
        x = np.arange(3.0)
        np.testing.assert_array_equal(part(x), x)
        self.assertEqual(part.layers[0].name, "a_b")
        self.assertEqual(note, "a/b: inputs are not quantized")


class SplitTest(parameterized.TestCase):
    @parameterized.parameters("", ":0")
    def test_ranges_and_steps_are_no_weights(self, end):
        left, ranges = quantized.split(weights(end), {"quant_dense": "dense"})
        self.assertEqual(
            [name for name, _ in left],
            [f"dense/kernel{end}", f"dense/bias{end}"],
        )
        self.assertEqual(ranges, {"dense": (-0.5, 6.0)})

    def test_by_layer(self):
        given = {
            "quant_dense": weights(":0"),
            "relu": [("quant_relu/output_min", np.zeros(())), ("x/y", BIAS)],
            "quantize_layer": [
                ("quantize_layer/quantize_layer_min:0", np.full((1,), -2.0)),
                ("quantize_layer/quantize_layer_max:0", np.full((1,), 3.0)),
                ("quantize_layer/optimizer_step:0", np.int32(0)),
            ],
            "empty": [],
        }
        wrappers = {"quant_dense": "dense", "quantize_layer": "quantize_layer"}
        left, ranges = quantized.split(given, wrappers)
        self.assertEqual(
            {key: len(found) for key, found in left.items()},
            {"quant_dense": 2, "relu": 2, "empty": 0},
        )
        self.assertEqual(ranges["quantize_layer"], (-2.0, 3.0))

    def test_names_that_only_look_like_ranges_are_weights(self):
        given = [("dense/x_min", KERNEL), ("dense/x_max", KERNEL)]
        left, ranges = quantized.split(given, {})
        self.assertLen(left, 2)
        self.assertEmpty(ranges)

    def test_ranges_before_any_training_are_none(self):
        given = [
            ("quant_dense/output_min", np.float32(0)),
            ("quant_dense/output_max", np.float32(0)),
        ]
        left, ranges = quantized.split(given, {"quant_dense": "dense"})
        self.assertEmpty(left)
        self.assertEmpty(ranges)


if __name__ == "__main__":
    absltest.main()
