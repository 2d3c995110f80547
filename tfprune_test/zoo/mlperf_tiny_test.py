from absl.testing import parameterized

from tfprune import zoo
from tfprune_test.zoo import plain_counts


def _separable(pixels, channels, filters):
    """Multiply-adds of a 3x3 depthwise and a 1x1 convolution."""
    return pixels * (9 * channels + channels * filters)


RESNET8_MACS = (
    32 * 32 * (9 * 3 * 16 + 2 * 9 * 16 * 16)
    + 16 * 16 * (9 * 16 * 32 + 9 * 32 * 32 + 16 * 32)
    + 8 * 8 * (9 * 32 * 64 + 9 * 64 * 64 + 32 * 64)
    + 64 * 10
)
DS_CNN_MACS = 25 * 5 * 40 * 64 + 4 * _separable(25 * 5, 64, 64) + 64 * 12
MOBILENET_MACS = (
    48 * 48 * 27 * 8
    + _separable(48 * 48, 8, 16)
    + 24 * 24 * 9 * 16
    + 24 * 24 * 16 * 32
    + _separable(24 * 24, 32, 32)
    + 12 * 12 * 9 * 32
    + 12 * 12 * 32 * 64
    + _separable(12 * 12, 64, 64)
    + 6 * 6 * 9 * 64
    + 6 * 6 * 64 * 128
    + 5 * _separable(6 * 6, 128, 128)
    + 3 * 3 * 9 * 128
    + 3 * 3 * 128 * 256
    + _separable(3 * 3, 256, 256)
    + 256 * 2
)
AUTOENCODER_MACS = 2 * (640 * 128 + 3 * 128 * 128 + 128 * 8)

# All variables and multiply-adds; DS-CNN's 23.8k leave the moments out.
COUNTS = (
    ("resnet8", 78_666, RESNET8_MACS),
    ("ds_cnn", 23_756 + 2 * 9 * 64, DS_CNN_MACS),
    ("mobilenet_v1_025", 221_794, MOBILENET_MACS),
    ("autoencoder", 269_992, AUTOENCODER_MACS),
)


class MlperfTinyTest(parameterized.TestCase):
    @parameterized.parameters(*COUNTS)
    def test_counts_are_those_of_the_references(self, name, params, macs):
        model = zoo.build(name)
        self.assertEqual(model.count_params(), params)
        self.assertEqual(plain_counts.macs(model), macs)

    def test_resnet8_has_78k_weights_and_12_5m_multiply_adds(self):
        model = zoo.build("resnet8")
        self.assertAlmostEqual(plain_counts.trainable_weights(model), 78e3, -3)
        self.assertAlmostEqual(plain_counts.macs(model) / 1e6, 12.5, 1)

    @parameterized.parameters(
        ("resnet8", ("conv2d_8", "batch_normalization_6", "add_2", "dense")),
        ("ds_cnn", ("conv2d_4", "depthwise_conv2d_3", "dropout_1", "dense")),
        ("mobilenet_v1_025", ("conv2d_13", "depthwise_conv2d_12", "flatten")),
        ("autoencoder", ("Dense_9", "Batch_Normalization_9", "dense")),
    )
    def test_layers_are_named_as_in_the_references(self, name, expected):
        names = [layer.name for layer in zoo.build(name).layers]
        self.assertContainsSubset(expected, names)

    @parameterized.parameters(
        ("resnet8", (10,)),
        ("ds_cnn", (12,)),
        ("mobilenet_v1_025", (2,)),
        ("autoencoder", (640,)),
    )
    def test_outputs_have_the_shape_of_the_references(self, name, shape):
        self.assertEqual(zoo.build(name).output_shape[1:], shape)
