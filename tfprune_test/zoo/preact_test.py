import keras
import pytest
from absl.testing import parameterized

from tfprune import zoo
from tfprune.zoo import preact
from tfprune_test.zoo import plain_counts


def wide_resnet_macs(blocks, widths):
    """Convolutions of a wide ResNet, stage by stage, and the classifier."""
    total, channels = 32 * 32 * 9 * 3 * 16, 16
    for filters, side in zip(widths, (32, 16, 8)):
        convs = 9 * channels * filters + (2 * blocks - 1) * 9 * filters**2
        total += side**2 * (convs + channels * filters)
        channels = filters
    return total + channels * 10


class PreactTest(parameterized.TestCase):
    @pytest.mark.slow  # A large network.
    def test_wide_resnet_28_10_has_the_published_36_5m_parameters(self):
        model = zoo.build("wide_resnet28_10")
        self.assertEqual(plain_counts.trainable_weights(model), 36_479_194)
        self.assertEqual(
            plain_counts.macs(model), wide_resnet_macs(4, (160, 320, 640))
        )

    def test_preact_resnet18_differs_from_resnet18_in_normalisation(self):
        model = zoo.build("preact_resnet18")
        # Channels that are normalised: ResNet-18's stem, convolutions and
        # projections; here inputs and middles of blocks, and the last map.
        post = 64 + 4 * (64 + 128 + 256 + 512) + (128 + 256 + 512)
        inputs = 3 * 64 + 2 * 128 + 2 * 256 + 512
        pre = inputs + 2 * (64 + 128 + 256 + 512) + 512
        self.assertEqual(
            plain_counts.trainable_weights(model), 11_173_962 + 2 * (pre - post)
        )
        self.assertEqual(plain_counts.macs(model), 555_422_720)

    def test_the_projection_reads_the_activated_map(self):
        model = preact.wide_resnet(10, 1)
        shortcut = model.get_layer("stage2_block0_shortcut_conv")
        self.assertIs(
            shortcut.input, model.get_layer("stage2_block0_relu1").output
        )

    def test_dropout_stands_between_the_convolutions(self):
        model = preact.wide_resnet(10, 1, dropout=0.3)
        dropouts = [
            layer
            for layer in model.layers
            if isinstance(layer, keras.layers.Dropout)
        ]
        self.assertLen(dropouts, 3)
        self.assertEqual(dropouts[0].rate, 0.3)
        conv = model.get_layer("stage1_block0_conv2")
        self.assertIs(conv.input, dropouts[0].output)

    @parameterized.parameters(
        (preact.wide_resnet, 20, r"6n \+ 4.*Received: depth=20"),
        (preact.preact_resnet, 50, r"\[18, 34\].*Received: depth=50"),
    )
    def test_depths_that_do_not_fit_are_refused(self, build, depth, message):
        with self.assertRaisesRegex(ValueError, message):
            build(depth)
