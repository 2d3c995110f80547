import keras
import numpy as np
from absl.testing import parameterized

from tfprune import zoo

# One network of each kind, narrow, so that the arrays are small.
KINDS = (
    ("resnet20", {"width": 4}, 10),
    ("resnet20", {"width": 4, "shortcut": "B"}, 10),
    ("plain20", {"width": 4}, 10),
    ("vgg16", {"widths": [8] * 13, "hidden": 8}, 10),
    ("resnet8", {"width": 4}, 10),
    ("ds_cnn", {"width": 4}, 12),
    ("mobilenet_v1_025", {"width": 4}, 2),
    ("autoencoder", {"hidden": 8}, 640),
)


class ZooTest(parameterized.TestCase):
    @parameterized.parameters(*KINDS)
    def test_a_network_is_plain_keras_and_survives_its_file(
        self, name, options, outputs
    ):
        model = zoo.build(name, **options)
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

    @parameterized.parameters(*KINDS)
    def test_names_do_not_depend_on_what_was_built_before(
        self, name, options, _
    ):
        first, second = (
            [v.path for v in zoo.build(name, **options).weights]
            for _ in range(2)
        )
        self.assertEqual(first, second)
        self.assertLen(set(first), len(first))

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
