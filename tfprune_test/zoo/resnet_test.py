import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune import zoo
from tfprune.zoo import resnet
from tfprune_test.zoo import plain_counts


def li_widths(blocks_per_stage, ratios, skip):
    """First convolutions' widths of Li et al. 2016, by their numbering.

    The stem is layer 1, block i (from 0) begins with layer 2 (i + 1); of n
    filters int(n (1 - p)) are kept, all of them in the skipped layers.
    """
    dense = [w for w in (16, 32, 64) for _ in range(blocks_per_stage)]
    ratio = [p for p in ratios for _ in range(blocks_per_stage)]
    return [
        n if 2 * (i + 1) in skip else int(n * (1 - p))
        for i, (n, p) in enumerate(zip(dense, ratio))
    ]


LI_56_A = li_widths(9, (0.1, 0.1, 0.1), (16, 20, 38, 54))
LI_56_B = li_widths(9, (0.6, 0.3, 0.1), (16, 18, 20, 34, 38, 54))
LI_110_A = li_widths(18, (0.5, 0.0, 0.0), (36,))
LI_110_B = li_widths(18, (0.5, 0.4, 0.3), (36, 38, 74))
HALF_20 = [8] * 3 + [16] * 3 + [32] * 3
HALF_56 = [8] * 9 + [16] * 9 + [32] * 9

# Weights without and with batch normalisation, multiply-adds; published.
COUNTS = (
    ("resnet20", {}, 268_346, 269_722, 40_551_040),
    ("resnet32", {}, None, 464_154, 68_862_592),
    # As 20 and 32: each further block of a stage costs the same.
    ("resnet44", {}, None, 658_586, 97_174_144),
    ("resnet56", {}, 848_954, 853_018, 125_485_696),
    ("resnet56", {"shortcut": "B"}, 851_514, 855_770, 125_747_840),
    ("resnet110", {}, 1_719_866, 1_727_962, 252_887_680),
    ("resnet56", {"widths": HALF_56}, 425_018, 428_074, 62_964_352),
    ("resnet20", {"widths": HALF_20}, 134_714, 135_754, 20_497_024),
    ("resnet56", {"widths": LI_56_A}, 769_466, None, 112_435_840),
    ("resnet56", {"widths": LI_56_B}, 732_026, None, 90_907_264),
    ("resnet110", {"widths": LI_110_A}, 1_680_698, None, 212_779_648),
    ("resnet110", {"widths": LI_110_B}, 1_161_722, None, 155_124_352),
    # Option A costs nothing, so the plain network has the same counts.
    ("plain20", {}, 268_346, 269_722, 40_551_040),
)


def resnet18_macs():
    """Four stages of two blocks, the first convolution of most strides."""
    total, channels = 32 * 32 * 9 * 3 * 64, 64
    for filters, side in ((64, 32), (128, 16), (256, 8), (512, 4)):
        convs = 9 * channels * filters + 3 * 9 * filters**2
        shortcut = 0 if channels == filters else channels * filters
        total += side**2 * (convs + shortcut)
        channels = filters
    return total + 512 * 10


def resnet50_macs():
    """Bottlenecks, which stride at the 3x3 convolution."""
    total, channels, side = 32 * 32 * 9 * 3 * 64, 64, 32
    for width, count in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(count):
            total += side**2 * channels * width
            if width > 64 and block == 0:
                side //= 2
            total += side**2 * (9 * width**2 + 4 * width**2)
            if block == 0:
                total += side**2 * channels * 4 * width
            channels = 4 * width
    return total + 2048 * 10


class ResnetTest(parameterized.TestCase):
    @parameterized.parameters(*(c for c in COUNTS if c[0] != "resnet110"))
    def test_counts_are_the_published_ones(self, *counts):
        self.check(*counts)

    @parameterized.parameters(*(c for c in COUNTS if c[0] == "resnet110"))
    @pytest.mark.slow  # Deep networks.
    def test_counts_of_a_deep_one_are_the_published_ones(self, *counts):
        self.check(*counts)

    def check(self, name, options, weights, with_batch_norm, macs):
        model = zoo.build(name, **options)
        if weights is not None:
            self.assertEqual(
                plain_counts.weights_without_batch_norm(model), weights
            )
        if with_batch_norm is not None:
            self.assertEqual(
                plain_counts.trainable_weights(model), with_batch_norm
            )
        self.assertEqual(plain_counts.macs(model), macs)

    def test_resnet18_has_twice_the_weights_of_the_micronet_reference(self):
        model = zoo.build("resnet18")
        # 5,586,981 at half precision.
        self.assertEqual(plain_counts.trainable_weights(model), 2 * 5_586_981)
        self.assertEqual(plain_counts.macs(model), resnet18_macs())

    @pytest.mark.slow  # A large network.
    def test_resnet50_counts_are_the_published_ones(self):
        model = zoo.build("resnet50")
        self.assertEqual(plain_counts.trainable_weights(model), 23_520_842)
        self.assertEqual(plain_counts.macs(model), resnet50_macs())

    def test_option_a_takes_every_second_pixel_and_pads_both_sides(self):
        model = resnet.resnet_cifar(8, width=4, input_shape=(8, 8, 3))
        # A scale of zero silences the block, the shortcut remains.
        norm = model.get_layer("stage2_block0_bn2")
        norm.gamma.assign(np.zeros(8))
        ends = "stage1_block0_relu2", "stage2_block0_add"
        probe = keras.Model(
            model.input, [model.get_layer(name).output for name in ends]
        )
        images = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
        before, after = probe.predict(images, verbose=0)
        expected = np.zeros((2, 4, 4, 8))
        expected[..., 2:6] = before[:, ::2, ::2]
        np.testing.assert_allclose(after, expected, rtol=1e-6)

    def test_strided_convolutions_are_centred_on_even_pixels(self):
        model = resnet.resnet_cifar(8, width=4, input_shape=(8, 8, 3))
        conv = model.get_layer("stage2_block0_conv1")
        kernel = np.zeros(conv.kernel.shape)
        kernel[1, 1] = np.eye(4, 8)
        conv.kernel.assign(kernel)
        ends = "stage1_block0_relu2", "stage2_block0_conv1"
        probe = keras.Model(
            model.input, [model.get_layer(name).output for name in ends]
        )
        images = np.random.default_rng(0).normal(size=(1, 8, 8, 3))
        before, after = probe.predict(images, verbose=0)
        np.testing.assert_allclose(
            after[..., :4], before[:, ::2, ::2], rtol=1e-6
        )

    def test_plain_networks_add_nothing(self):
        layers = resnet.plain_cifar(20).layers
        self.assertFalse([x for x in layers if isinstance(x, keras.layers.Add)])

    def test_layers_are_named_by_stage_and_block(self):
        model = resnet.resnet_cifar(20, shortcut="B", width=8)
        names = [layer.name for layer in model.layers]
        self.assertIn("stage3_block2_conv2", names)
        self.assertIn("stage2_block0_shortcut_bn", names)
        self.assertNotIn("stage2_block1_shortcut_bn", names)

    @parameterized.parameters(
        ({"depth": 21}, r"6n \+ 2.*Received: depth=21"),
        ({"depth": 2}, r"6n \+ 2.*Received: depth=2"),
        ({"depth": 20, "shortcut": "C"}, r"A, B, none.*shortcut='C'"),
        ({"depth": 20, "widths": [16] * 8}, r"9 in all.*Received: 8 widths"),
        ({"depth": 20, "widths": [0] * 9}, r"positive int.*\[0, 0"),
    )
    def test_arguments_that_do_not_fit_are_refused(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            resnet.resnet_cifar(**options)

    def test_only_the_published_depths_have_four_stages(self):
        with self.assertRaisesRegex(ValueError, r"18, 34, 50.*depth=20"):
            resnet.resnet(20)
