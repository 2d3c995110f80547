import io

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.callbacks import prune_on_schedule as callback_lib
from tfprune.callbacks import sparsity_images
from tfprune.methods import masked
from tfprune.patterns import weight_patterns
from tfprune.schedules import schedule as schedule_lib
from tfprune.sparsity import wrapping


class PictureTest(parameterized.TestCase):
    def test_rows_are_outputs_and_zeros_are_black(self):
        kernel = np.array([[1.0, 0.0], [0.0, -2.0], [0.5, 3.0]])
        picture = sparsity_images.as_picture(
            kernel, weight_patterns.Axes((0,), (1,))
        )
        np.testing.assert_array_equal(picture, [[255, 0, 255], [0, 255, 255]])

    def test_positions_stand_side_by_side(self):
        kernel = np.ones((2, 2, 3, 4))
        kernel[0, 1] = 0
        axes = weight_patterns.Axes((2,), (3,))
        picture = sparsity_images.as_picture(kernel, axes)
        self.assertEqual(picture.shape, (4, 12))
        np.testing.assert_array_equal(
            picture[0], [255] * 3 + [0] * 3 + [255] * 6
        )

    def test_a_png_has_the_same_grey_values(self):
        image = pytest.importorskip("PIL.Image")
        picture = np.random.default_rng(0).integers(0, 256, (5, 7), "uint8")
        png = sparsity_images.as_png(picture)
        with image.open(io.BytesIO(png)) as opened:
            np.testing.assert_array_equal(np.asarray(opened), picture)


class CallbackTest(parameterized.TestCase):
    def test_pictures_arrive_in_tensorboard(self):
        accumulator = pytest.importorskip(
            "tensorboard.backend.event_processing.event_accumulator"
        )
        folder = self.create_tempdir().full_path
        model = keras.Sequential(
            [keras.Input((6,)), keras.layers.Dense(4, name="dense")]
        )
        model = wrapping.wrap(model, masked.Masked())
        model.compile("sgd", "mse")
        model.fit(
            np.ones((8, 6)),
            np.zeros((8, 4)),
            epochs=4,
            verbose=0,
            callbacks=[
                callback_lib.PruneOnSchedule(schedule_lib.OneShot(0.5, 1)),
                sparsity_images.SparsityImages(folder, every=2),
            ],
        )
        events = accumulator.EventAccumulator(folder)
        events.Reload()
        found = events.Images("zeros/dense/kernel")
        self.assertEqual([image.step for image in found], [1, 3])
        self.assertEqual((found[0].height, found[0].width), (4, 6))

    def test_every_is_checked(self):
        with self.assertRaisesRegex(ValueError, "every=0"):
            sparsity_images.SparsityImages("logs", every=0)
