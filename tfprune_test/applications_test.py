"""The networks of `keras.applications`, masked at random and stripped."""

import time

import keras
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune_test import exactness

# Name, image size, whether it takes but a few seconds.
NETWORKS = (
    ("VGG16", 32, True),
    ("ResNet50", 32, True),
    ("ResNet50V2", 32, False),
    ("MobileNet", 32, True),
    ("MobileNetV2", 32, True),
    ("MobileNetV3Small", 32, True),
    ("EfficientNetB0", 32, False),
    ("EfficientNetV2B0", 32, False),
    ("DenseNet121", 32, False),
    ("InceptionV3", 75, False),
    ("Xception", 71, False),
    ("NASNetMobile", 32, False),
    ("ConvNeXtTiny", 32, True),
)


class ApplicationsTest(exactness.ExactnessTestCase):
    @parameterized.named_parameters(
        (name, name, size) for name, size, quick in NETWORKS if quick
    )
    def test_strip_is_exact(self, name, size):
        self.check(name, size)

    @parameterized.named_parameters(
        (name, name, size) for name, size, quick in NETWORKS if not quick
    )
    @pytest.mark.slow
    def test_strip_of_a_larger_one_is_exact(self, name, size):
        self.check(name, size)

    def check(self, name, size):
        model = getattr(keras.applications, name)(
            weights=None, input_shape=(size, size, 3), classes=7
        )
        start = time.process_time()
        found = self.assert_exact(model, rate=0.5, silence=0.1)
        graph = found.graph
        print(
            f"{name}: {int(graph.removable.sum())} of {graph.size} channels "
            f"are removable; {found.removed} removed, {model.count_params()} "
            f"-> {found.small.count_params()} parameters, outputs within "
            f"{found.error:.1e}, {time.process_time() - start:.1f} s"
        )
        self.assertEqual(graph.unknown, {})


if __name__ == "__main__":
    absltest.main()
