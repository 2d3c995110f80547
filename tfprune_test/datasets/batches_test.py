import dataclasses

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.datasets import batches

# Image i is full of the value i: a batch tells which images it holds.
COUNT = 50
SPLIT = batches.Split(
    np.broadcast_to(
        np.arange(COUNT, dtype="uint8")[:, None, None, None], (COUNT, 6, 6, 3)
    ),
    np.arange(COUNT),
)
PLAIN = batches.Preprocessing()


def crops_of(image, padding, flip):
    """Every image that augmentation may make of `image`."""
    pad = ((padding, padding), (padding, padding), (0, 0))
    padded = np.pad(image, pad)
    height, width, _ = image.shape
    crops = [
        padded[top : top + height, left : left + width]
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
    ]
    return crops + [crop[:, ::-1] for crop in crops if flip]


class SplitTest(parameterized.TestCase):
    def test_hold_out_takes_the_fraction_of_every_class(self):
        labels = np.array([0] * 30 + [1] * 10)
        split = batches.Split(np.arange(40)[:, None], labels)
        rest, held_out = split.hold_out(0.2, seed=0)
        np.testing.assert_array_equal(np.bincount(held_out.y), [6, 2])
        np.testing.assert_array_equal(np.bincount(rest.y), [24, 8])
        together = np.concatenate([rest.x, held_out.x]).ravel()
        self.assertCountEqual(together.tolist(), range(40))
        np.testing.assert_array_equal(rest.x, np.sort(rest.x, axis=0))

    def test_hold_out_depends_on_the_seed_alone(self):
        split = batches.Split(np.arange(100)[:, None], np.arange(100) % 4)
        first, again, other = (
            split.hold_out(0.2, seed)[1].x.ravel().tolist()
            for seed in (1, 1, 2)
        )
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)


class PreprocessingTest(parameterized.TestCase):
    def test_values_are_scaled_then_standardised_per_channel(self):
        pre = batches.Preprocessing(0.5, (1.0, 2.0), (2.0, 4.0))
        pixels = np.array([[[[10, 20], [30, 40]]]], dtype="uint8")
        expected = [[[[2.0, 2.0], [7.0, 4.5]]]]
        np.testing.assert_allclose(pre(pixels), expected)
        self.assertEqual(pre(pixels).dtype, np.float32)

    def test_one_value_serves_all_channels(self):
        pre = batches.Preprocessing(2.0, (6.0,), (1.0,))
        values = np.array([[[3, 4], [-5, 6]]], dtype="int8")
        np.testing.assert_allclose(pre(values), [[[0, 2], [-16, 6]]])


class AugmentationTest(parameterized.TestCase):
    @parameterized.parameters((1, True), (1, False), (0, True), (2, True))
    def test_an_image_becomes_one_of_its_crops(self, padding, flip):
        rng = np.random.default_rng(0)
        images = rng.integers(1, 256, (300, 3, 4, 2), dtype="uint8")
        images[:] = images[0]
        kept = images.copy()
        augmentation = batches.Augmentation(padding, flip)
        out = augmentation(images, np.random.default_rng(1))
        np.testing.assert_array_equal(images, kept)
        self.assertEqual(out.dtype, images.dtype)
        allowed = {c.tobytes() for c in crops_of(images[0], padding, flip)}
        # 300 draws reach every one of at most 50 crops.
        self.assertEqual({image.tobytes() for image in out}, allowed)


class BatchesTest(parameterized.TestCase):
    def test_an_epoch_has_every_image_once_with_its_label(self):
        data = batches.Batches(SPLIT, 8, PLAIN, seed=0)
        self.assertLen(data, 7)
        images, labels = (np.concatenate(part) for part in zip(*data))
        np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
        self.assertCountEqual(labels.tolist(), range(COUNT))
        self.assertNotEqual(labels.tolist(), list(range(COUNT)))

    def test_without_a_seed_the_order_stays(self):
        data = batches.Batches(SPLIT, 8, PLAIN)
        for _ in range(2):
            data.on_epoch_begin()
            labels = np.concatenate([y for _, y in data])
            np.testing.assert_array_equal(labels, np.arange(COUNT))

    def test_a_batch_does_not_depend_on_those_before_it(self):
        augmentation = batches.Augmentation(2)
        whole = batches.Batches(SPLIT, 8, PLAIN, augmentation, seed=3)
        first = [x for x, _ in whole]
        whole.on_epoch_begin()
        later = batches.Batches(SPLIT, 8, PLAIN, augmentation, 3, epoch=1)
        for index in reversed(range(len(whole))):
            np.testing.assert_array_equal(whole[index][0], later[index][0])
            np.testing.assert_array_equal(whole[index][1], later[index][1])
        self.assertFalse(np.array_equal(first[0], later[0][0]))

    def test_views_come_back_for_each_image(self):
        augmentation = batches.Augmentation(2)
        data = batches.Batches(SPLIT, 8, PLAIN, augmentation, 3, views=2)

        def images():
            """The images of an epoch, in the order of the split."""
            found = np.empty_like(PLAIN(SPLIT.x))
            for index in range(len(data)):
                x, y = data[index]
                np.testing.assert_array_equal(SPLIT.y[data.chosen(index)], y)
                found[data.chosen(index)] = x
            return found

        epochs, orders = [], []
        for _ in range(4):
            data.on_epoch_begin()
            epochs.append(images())
            orders.append(np.concatenate([y for _, y in data]).tolist())
            np.testing.assert_array_equal(
                epochs[-1], PLAIN(data.images_of_view())
            )
        np.testing.assert_array_equal(epochs[0], epochs[2])
        np.testing.assert_array_equal(epochs[1], epochs[3])
        self.assertFalse(np.array_equal(epochs[0], epochs[1]))
        self.assertNotEqual(orders[0], orders[2])

    @parameterized.parameters(True, False)
    @pytest.mark.slow  # Trains three times.
    def test_a_stopped_run_goes_on_to_the_same_weights(self, built):
        def fit(model, start, stop):
            data = batches.Batches(
                SPLIT,
                8,
                batches.Preprocessing(1 / COUNT),
                batches.Augmentation(1),
                seed=0,
                epoch=start,
            )
            model.fit(
                data,
                initial_epoch=start,
                epochs=stop,
                shuffle=False,
                verbose=0,
            )
            self.assertEqual(data.epoch, stop - 1)

        results = []
        for stops in ((0, 4), (0, 1, 3, 4)):
            keras.utils.set_random_seed(0)
            model = keras.Sequential(
                [keras.layers.Flatten(), keras.layers.Dense(1)]
            )
            if built:
                model.build((None, 6, 6, 3))
            model.compile("sgd", "mse")
            for start, stop in zip(stops, stops[1:]):
                fit(model, start, stop)
            results.append(model.get_weights())
        np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-6)

    @parameterized.parameters(
        ({"augmentation": batches.Augmentation()}, "needs a seed.*seed=None"),
        ({"batch_size": 0}, "at least 1. Received: batch_size=0"),
        ({"views": 0}, "`views` must be .* Received: views=0"),
        ({"split": SPLIT.take([])}, r"must have images.*\(0, 6, 6, 3\)"),
    )
    def test_arguments_that_do_not_fit_are_refused(self, change, message):
        arguments = {"split": SPLIT, "batch_size": 8, "preprocessing": PLAIN}
        with self.assertRaisesRegex(ValueError, message):
            batches.Batches(**arguments | change)

    def test_records_cannot_be_changed(self):
        with self.assertRaises(dataclasses.FrozenInstanceError):
            SPLIT.x = None
