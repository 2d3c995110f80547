import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers
OPS = keras.ops
ONE_TO_SIX = np.arange(1.0, 7.0)
IMAGE, SERIES, VOLUME = (6, 6, 3), (8, 3), (4, 4, 4, 3)


def gated(pool):
    """A pooled copy, scaled and added to every position."""
    return lambda x: x + LAYERS.Conv2D(6, 1)(pool(x))


class PoolTest(exactness.ExactnessTestCase):
    @parameterized.named_parameters(
        ("max", IMAGE, lambda: LAYERS.MaxPooling2D()),
        ("average_same", IMAGE, lambda: LAYERS.AveragePooling2D(4, 2, "same")),
        ("max_1d", SERIES, lambda: LAYERS.MaxPooling1D()),
        ("average_3d", VOLUME, lambda: LAYERS.AveragePooling3D(2)),
        ("padding", IMAGE, lambda: LAYERS.ZeroPadding2D(((1, 0), (2, 1)))),
        ("padding_1d", SERIES, lambda: LAYERS.ZeroPadding1D(2)),
        ("padding_3d", VOLUME, lambda: LAYERS.ZeroPadding3D(1)),
        ("cropping", IMAGE, lambda: LAYERS.Cropping2D(1)),
        ("cropping_1d", SERIES, lambda: LAYERS.Cropping1D((1, 2))),
        ("upsampling", IMAGE, lambda: LAYERS.UpSampling2D(2)),
        ("bilinear", IMAGE, lambda: LAYERS.UpSampling2D(2, None, "bilinear")),
        ("upsampling_1d", SERIES, lambda: LAYERS.UpSampling1D(2)),
        ("resizing", IMAGE, lambda: LAYERS.Resizing(5, 4)),
        ("center", IMAGE, lambda: LAYERS.CenterCrop(4, 4)),
        ("global", IMAGE, lambda: LAYERS.GlobalAveragePooling2D()),
        ("global_kept", IMAGE, lambda: LAYERS.GlobalMaxPooling2D(None, True)),
        ("global_1d", SERIES, lambda: LAYERS.GlobalMaxPooling1D()),
        ("global_3d", VOLUME, lambda: LAYERS.GlobalAveragePooling3D()),
    )
    def test_channels_pass(self, shape, layer):
        model = models.around(lambda x: layer()(x), shape)
        self.assert_exact(model, silence=0.2)

    @parameterized.named_parameters(
        ("mean", lambda x: keras.ops.mean(x, axis=(1, 2))),
        ("max_kept", lambda x: keras.ops.max(x, axis=(1, 2), keepdims=True)),
        ("rows", lambda x: keras.ops.sum(x, axis=1)),
        ("variance", lambda x: keras.ops.var(x, axis=[-3, -2])),
        ("repeat", lambda x: LAYERS.RepeatVector(3)(x[:, 0, 0])),
        ("max_pool", lambda x: keras.ops.max_pool(x, 2)),
        ("gate", gated(lambda x: keras.ops.mean(x, (1, 2), keepdims=True))),
    )
    def test_channels_pass_reductions(self, body):
        self.assert_exact(models.around(body), silence=0.2)

    @parameterized.parameters(
        lambda x: LAYERS.AdaptiveAveragePooling2D((2, 3))(x),
        lambda x: LAYERS.AdaptiveMaxPooling2D(2)(x),
        lambda x: OPS.image.resize(x, (9, 9)),
        lambda x: OPS.image.pad_images(x, 1, 1, 9, 9),
        lambda x: OPS.image.crop_images(x, 1, 1, 2, 3),
        lambda x: OPS.image.gaussian_blur(x),
    )
    def test_channels_pass_ops(self, body):
        found = self.assert_exact(models.around(body), silence=0.3)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 4)

    @parameterized.named_parameters(
        ("channels", lambda x: keras.ops.mean(x, -1, keepdims=True)),
        ("every_axis", lambda x: x * keras.ops.max(x)),
        ("quantile", lambda x: keras.ops.quantile(x, 0.3, -1, keepdims=True)),
        ("trapezoid", lambda x: keras.ops.trapezoid(x)[..., None]),
        ("diagonal", lambda x: keras.ops.diagonal(x, 0, 2, 3)[..., None]),
        ("trace", lambda x: keras.ops.trace(x, 0, 2, 3)[:, None, None]),
        ("average", lambda x: x - keras.ops.average(x, -1)[..., None]),
        ("weighted", lambda x: keras.ops.average(x, -1, ONE_TO_SIX)[..., None]),
        ("moments", lambda x: keras.ops.moments(x, [1, 3])[1][..., None, None]),
        ("batch", lambda x: x - keras.ops.mean(x, axis=0, keepdims=True)),
        (
            "first",
            lambda x: LAYERS.GlobalMaxPooling2D(data_format="channels_first")(
                x
            ),
        ),
    )
    def test_channels_that_meet_are_kept(self, body):
        model = models.around(body)
        found = exactness.strip_masked(model)
        self.assertLess(found.error, exactness.TOLERANCE)
        self.assertEmpty(found.graph.unknown)
        first = model.layers[1].name
        (group,) = (g for g in found.graph.groups if first in g.writers)
        self.assertIsNotNone(group.frozen)


if __name__ == "__main__":
    absltest.main()
