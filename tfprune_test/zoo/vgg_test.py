from absl.testing import parameterized

from tfprune import zoo
from tfprune.zoo import vgg
from tfprune_test.zoo import counting

# Li et al. 2016: half of the first and of the last six convolutions.
LI_A = [32, 64, 128, 128, 256, 256, 256] + [256] * 6


class VggTest(parameterized.TestCase):
    @parameterized.parameters(
        ({}, 14_978_250, 313_463_808),
        ({"widths": LI_A}, 5_390_698, 206_279_680),
    )
    def test_counts_are_the_published_ones(self, options, weights, macs):
        model = zoo.build("vgg16", **options)
        self.assertEqual(counting.weights_without_batch_norm(model), weights)
        self.assertEqual(counting.macs(model), macs)

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
