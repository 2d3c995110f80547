from absl.testing import parameterized

from tfprune import zoo
from tfprune.zoo import vgg
from tfprune_test.zoo import plain_counts

# Li et al. 2016: half of the first and of the last six convolutions.
LI_A = [32, 64, 128, 128, 256, 256, 256] + [256] * 6


class VggTest(parameterized.TestCase):
    @parameterized.parameters(
        ({}, 14_978_250, 313_463_808),
        ({"widths": LI_A}, 5_390_698, 206_279_680),
    )
    def test_counts_are_the_published_ones(self, options, weights, macs):
        model = zoo.build("vgg16", **options)
        self.assertEqual(
            plain_counts.weights_without_batch_norm(model), weights
        )
        self.assertEqual(plain_counts.macs(model), macs)

    def test_vgg19_has_the_20_04m_weights_of_network_slimming(self):
        model = zoo.build("vgg19")
        self.assertAlmostEqual(
            plain_counts.trainable_weights(model) / 1e6, 20.04, 2
        )
        # A group's convolutions after its first keep the channels.
        macs, channels = 512 * 10, 3
        for side, filters, more in (
            (32, 64, 1),
            (16, 128, 1),
            (8, 256, 3),
            (4, 512, 3),
            (2, 512, 3),
        ):
            macs += side**2 * 9 * (channels * filters + more * filters**2)
            channels = filters
        self.assertEqual(plain_counts.macs(model), macs)

    def test_without_a_hidden_layer_the_last_pooling_feeds_the_classifier(self):
        model = vgg.vgg(16, [4] * 13, hidden=None, classes=7)
        self.assertEqual(model.get_layer("logits").kernel.shape, (4, 7))

    @parameterized.parameters(
        ({"depth": 13}, r"\[16, 19\]. Received: depth=13"),
        ({"depth": 16, "widths": [8] * 16}, r"13 in all.*Received: 16 widths"),
    )
    def test_arguments_that_do_not_fit_are_refused(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            vgg.vgg(**options)
