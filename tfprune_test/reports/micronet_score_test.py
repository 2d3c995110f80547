import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune import zoo
from tfprune.reports import micronet_score


def small():
    """A convolution of 4 * 9 weights, 4 statistics and 4 scales, 8 more."""
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(4, 3, use_bias=False, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, use_bias=False, name="dense"),
        ]
    )
    kernel = np.ones((3, 3, 1, 4), "float32")
    kernel[..., 0] = 0
    model.get_layer("conv").kernel.assign(kernel)
    model.get_layer("norm").beta.assign(np.ones(4))
    return model


class MicroNetTest(parameterized.TestCase):
    @parameterized.parameters(
        ("resnet20", {}, 0.193, 0.048),
        ("resnet56", {}, 0.600, 0.150),
        ("resnet20", {"width": 8, "shortcut": "B"}, 0.049, 0.012),
        ("resnet8", {}, 0.0586, 0.0147),
    )
    def test_published_scores(self, name, options, full, int8):
        model = zoo.build(name, **options)
        found = micronet_score.micronet(model).score_2025
        self.assertAlmostEqual(found, full, delta=0.01 * full)
        found = micronet_score.micronet(model, 8, 8).score_2025
        self.assertAlmostEqual(found, int8, delta=0.03 * int8)

    def test_stored_and_computed_are_counted_by_hand(self):
        found = micronet_score.micronet(small())
        # 36 of the kernel, gamma, beta, 8 of the dense kernel.
        self.assertEqual(found.weights, 36 + 8 + 8)
        self.assertEqual(found.zeros, 9)
        self.assertEqual(found.stored, 43)
        # 2 x 2 positions of 9 * 4, and 4 * 2: zeros save no operation.
        self.assertEqual(found.macs, 144 + 8)
        self.assertAlmostEqual(
            found.score_2019, 43 / 5_586_981 + 304 / 834_362_880, places=12
        )
        self.assertAlmostEqual(
            found.score_2025, 43 / 5.6e6 + 152 / 2.8e8, places=12
        )

    def test_the_larger_input_of_a_product_counts(self):
        model = small()
        self.assertEqual(micronet_score.micronet(model, 4, 16).macs, 152 / 2)
        self.assertEqual(micronet_score.micronet(model, 16, 4).macs, 152 / 2)
        self.assertEqual(micronet_score.micronet(model, 4, 16).stored, 43 / 8)

    def test_bits_of_single_layers(self):
        found = micronet_score.micronet(small(), {"conv": 8, "d*": 2.5}, 2)
        self.assertAlmostEqual(found.stored, 27 / 4 + 8 + 8 * 2.5 / 32)
        self.assertAlmostEqual(found.macs, 144 / 4 + 8 * 2.5 / 32)

    def test_bits_of_single_weights(self):
        found = micronet_score.micronet(small(), {"conv/kernel": 8}, 2)
        self.assertAlmostEqual(found.stored, 27 / 4 + 8 + 8)
        self.assertAlmostEqual(found.macs, 144 / 4 + 8)
        norm = micronet_score.micronet(small(), {"norm/*": 16})
        self.assertAlmostEqual(norm.stored, 27 + 8 / 2 + 8)

    @parameterized.parameters(
        (0, "weight_bits=0"),
        (33, "weight_bits=33"),
        ({"conv": "8"}, "weight_bits='8' for 'conv'"),
        ({"nothing": 8}, "'nothing', which fits none"),
    )
    def test_errors_name_what_was_received(self, bits, message):
        with self.assertRaisesRegex(ValueError, message):
            micronet_score.micronet(small(), bits)


if __name__ == "__main__":
    absltest.main()
