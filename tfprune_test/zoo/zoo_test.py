import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune import zoo
from tfprune.zoo import densenet
from tfprune.zoo import mlperf_tiny
from tfprune.zoo import mobilenet
from tfprune.zoo import preact
from tfprune.zoo import resnet
from tfprune.zoo import vgg

# A small network of every builder, and the length of its output.
SMALL = {
    "resnet_cifar_a": (lambda: resnet.resnet_cifar(8, width=4), 10),
    "resnet_cifar_b": (lambda: resnet.resnet_cifar(8, "B", width=4), 10),
    "plain_cifar": (lambda: resnet.plain_cifar(8, width=4), 10),
    "resnet_basic": (lambda: resnet.resnet(18, width=4), 10),
    "resnet_bottleneck": (lambda: resnet.resnet(50, width=4), 10),
    "preact_resnet": (lambda: preact.preact_resnet(18, width=4), 10),
    "wide_resnet": (lambda: preact.wide_resnet(10, 1, dropout=0.1), 10),
    "vgg": (lambda: vgg.vgg(16, [4] * 13, hidden=8), 10),
    "densenet_bc": (lambda: densenet.densenet_bc(10, growth=4), 10),
    "mobilenet_v2": (lambda: mobilenet.mobilenet_v2(0.1), 10),
    "resnet8": (lambda: mlperf_tiny.resnet8(width=4), 10),
    "ds_cnn": (lambda: mlperf_tiny.ds_cnn(width=4), 12),
    "mobilenet_v1": (lambda: mlperf_tiny.mobilenet_v1(width=4), 2),
    "autoencoder": (lambda: mlperf_tiny.autoencoder(hidden=8), 640),
}
DEEP = ("resnet_bottleneck", "preact_resnet", "densenet_bc", "mobilenet_v2")


class ZooTest(parameterized.TestCase):
    @parameterized.parameters(*sorted({*SMALL} - {*DEEP}))
    def test_a_network_is_plain_keras_and_survives_its_file(self, kind):
        self.check(kind)

    @parameterized.parameters(*DEEP)
    @pytest.mark.slow  # Many layers.
    def test_a_deep_network_survives_its_file(self, kind):
        self.check(kind)

    def check(self, kind):
        build, outputs = SMALL[kind]
        model = build()
        self.assertNotIn("tfprune", model.to_json())
        path = self.create_tempdir().full_path + "/model.keras"
        model.save(path)
        copy = keras.models.load_model(path)
        images = np.random.default_rng(0).normal(
            size=(2, *model.input_shape[1:])
        )
        expected = keras.ops.convert_to_numpy(model(images))
        self.assertEqual(expected.shape, (2, outputs))
        np.testing.assert_array_equal(copy(images), expected)
        # Names do not depend on what was built before.
        names = [v.path for v in build().weights]
        self.assertEqual(names, [v.path for v in model.weights])
        self.assertLen(set(names), len(names))

    def test_a_network_is_called_by_the_name_that_built_it(self):
        self.assertEqual(zoo.build("resnet20", width=4).name, "resnet20")

    def test_an_unknown_name_lists_the_known_ones(self):
        with self.assertRaisesRegex(ValueError, "resnet20, .*'resnet21'"):
            zoo.build("resnet21")

    def test_channels_first_is_refused(self):
        keras.config.set_image_data_format("channels_first")
        try:
            with self.assertRaisesRegex(ValueError, "channels_last"):
                zoo.build("resnet20")
        finally:
            keras.config.set_image_data_format("channels_last")
