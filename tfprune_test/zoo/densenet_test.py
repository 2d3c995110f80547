import pytest
from absl.testing import parameterized

from tfprune import zoo
from tfprune.zoo import densenet
from tfprune_test.zoo import plain_counts


def densenet_bc_macs(layers, growth):
    """Convolutions of the three dense blocks and the classifier."""
    channels = 2 * growth
    total = 32 * 32 * 9 * 3 * channels
    for block, side in enumerate((32, 16, 8)):
        for _ in range(layers):
            total += side**2 * (channels * 4 * growth + 9 * 4 * growth**2)
            channels += growth
        if block < 2:
            total += side**2 * channels * (channels // 2)
            channels //= 2
    return total + channels * 10


class DensenetTest(parameterized.TestCase):
    @pytest.mark.slow  # A deep network.
    def test_depth_100_growth_12_has_the_published_0_8m_parameters(self):
        model = zoo.build("densenet_bc100")
        self.assertEqual(plain_counts.trainable_weights(model), 769_162)
        self.assertEqual(plain_counts.macs(model), densenet_bc_macs(16, 12))

    def test_every_layer_reads_all_maps_before_it(self):
        model = densenet.densenet_bc(16, growth=4)
        widths = [
            model.get_layer(f"dense1_layer{i}_conv1").kernel.shape[2]
            for i in range(2)
        ]
        self.assertEqual(widths, [8, 12])
        self.assertEqual(model.get_layer("transition1_conv").filters, 8)

    @parameterized.parameters(
        ({"depth": 101}, r"6n \+ 4.*Received: depth=101"),
        ({"compression": 0.0}, r"\(0, 1\].*compression=0.0"),
    )
    def test_arguments_that_do_not_fit_are_refused(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            densenet.densenet_bc(**options)
