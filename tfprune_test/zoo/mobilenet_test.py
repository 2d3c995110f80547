import keras
from absl.testing import parameterized

from tfprune import zoo
from tfprune.zoo import mobilenet
from tfprune_test.zoo import plain_counts

# Expansion, output channels, blocks, stride of the first block.
ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def macs():
    side, channels = 32, 32
    total = side**2 * 27 * channels
    for expansion, filters, count, strides in ROWS:
        for block in range(count):
            hidden = expansion * channels
            if expansion > 1:
                total += side**2 * channels * hidden
            side //= strides if block == 0 else 1
            total += side**2 * (9 * hidden + hidden * filters)
            channels = filters
    return total + side**2 * 320 * 1280 + 1280 * 10


def kernel_shapes(model):
    return [
        tuple(layer.kernel.shape)
        for layer in model.layers
        if hasattr(layer, "kernel")
    ]


class MobilenetTest(parameterized.TestCase):
    def test_parameters_are_the_published_ones_but_for_the_classifier(self):
        model = zoo.build("mobilenet_v2")
        # 3,504,872 with the classifier of 1,000 classes.
        self.assertEqual(
            plain_counts.trainable_weights(model),
            3_504_872 - (1280 + 1) * 1000 + (1280 + 1) * 10,
        )
        self.assertEqual(plain_counts.macs(model), macs())

    def test_narrow_kernels_are_those_of_keras_applications(self):
        ours = mobilenet.mobilenet_v2(0.35)
        theirs = keras.applications.MobileNetV2(
            alpha=0.35, weights=None, input_shape=(32, 32, 3), classes=10
        )
        self.assertEqual(kernel_shapes(ours), kernel_shapes(theirs))

    def test_a_width_of_zero_is_refused(self):
        with self.assertRaisesRegex(ValueError, "positive.*width=0"):
            mobilenet.mobilenet_v2(0)
