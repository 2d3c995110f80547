import importlib.util
import os
import pathlib
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from absl.testing import parameterized

from tfprune import datasets
from tfprune.datasets import batches
from tfprune_test import conftest
from tfprune_test.datasets import batches_test

# MiniCIFAR's draws, of the first images of class 0 in the official order.
TRAIN_POSITIONS = [1501, 2586, 2653, 1055, 705, 106]
TEST_POSITIONS = [521, 737, 740, 660, 411, 678]
TRAIN_INDICES = [14958, 25814, 26522, 10513, 7183, 1097]
TEST_INDICES = [5279, 7356, 7419, 6623, 4194, 6772]


def small_cifar(classes=10, train=50, test=25):
    """`(x, y)` pairs in CIFAR's form; pixel (0, 0) holds an image's number."""
    rng = np.random.default_rng(0)
    parts = []
    for per_class in (train, test):
        count = classes * per_class
        x = rng.integers(0, 256, (count, 32, 32, 3), dtype="uint8")
        x[:, 0, 0, 0], x[:, 0, 0, 1] = np.divmod(np.arange(count), 256)
        parts.append((x, rng.permutation(np.arange(count) % classes)))
    return parts


def write_npz(folder, name, parts):
    arrays = {}
    for part, (x, y) in zip(("train", "test"), parts):
        arrays |= {f"x_{part}": x, f"y_{part}": y}
    np.savez(os.path.join(folder, f"{name}.npz"), **arrays)


def write_tfds(folder, name, parts, ids=True):
    """Prepares a folder as tensorflow_datasets does, in shuffled order."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    kinds = {
        "id": tfds.features.Text(),
        "image": tfds.features.Image(shape=(32, 32, 3)),
        "label": tfds.features.ClassLabel(num_classes=100),
    }
    if not ids:
        del kinds["id"]
    splits = {}
    for part, (x, y) in zip(("train", "test"), parts):
        order = np.random.default_rng(1).permutation(len(y))
        columns = {
            "id": [f"{part}_{i:05d}" for i in order],
            "image": x[order],
            "label": y[order],
        }
        splits[part] = tf.data.Dataset.from_tensor_slices(
            {key: columns[key] for key in kinds}
        )
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="3.0.2",
        features=tfds.features.FeaturesDict(kinds),
        split_datasets=splits,
        data_dir=folder,
        disable_shuffling=True,
    )


class DigitsTest(parameterized.TestCase):
    def test_splits_are_stratified_and_share_no_image(self):
        digits = datasets.load("digits")
        self.assertEqual(digits.shape, (8, 8, 1))
        self.assertEqual(digits.classes, 10)
        parts = digits.train, digits.val, digits.test
        self.assertEqual(sum(map(len, parts)), 1797)
        self.assertEqual([len(part) for part in parts], [1295, 143, 359])
        for part in parts:
            share = np.bincount(part.y) / len(part)
            np.testing.assert_allclose(share, 0.1, atol=0.012)
        everything = np.concatenate([part.x for part in parts])
        self.assertLen({image.tobytes() for image in everything}, 1797)

    def test_values_are_floats_from_0_to_1(self):
        x = datasets.load("digits").train.x
        self.assertEqual(x.dtype, np.float32)
        self.assertEqual((x.min(), x.max()), (0.0, 1.0))

    def test_the_seed_moves_validation_but_not_the_test_images(self):
        first, again, other = (
            datasets.load("digits", seed=s) for s in (1, 1, 2)
        )
        np.testing.assert_array_equal(first.val.x, again.val.x)
        self.assertFalse(np.array_equal(first.val.x, other.val.x))
        np.testing.assert_array_equal(first.test.x, other.test.x)

    def test_without_validation_all_the_rest_is_for_training(self):
        digits = datasets.load("digits", validation="none")
        self.assertIsNone(digits.val)
        self.assertLen(digits.train, 1438)

    def test_scikit_learn_missing_is_told(self):
        with mock.patch.dict(sys.modules, {"sklearn": None}):
            with self.assertRaisesRegex(ImportError, r"tfprune\[data\]"):
                datasets.load("digits")

    def test_loading_needs_no_tensorflow(self):
        code = (
            "import sys; sys.modules['tensorflow'] = None\n"
            "from tfprune import datasets\n"
            "digits = datasets.load('digits')\n"
            "from tfprune.datasets import batches\n"
            "b = batches.Batches(digits.train, 9, digits.preprocessing)\n"
            "assert b[0][0].shape == (9, 8, 8, 1)\n"
        )
        if not importlib.util.find_spec("jax"):
            self.skipTest("no backend besides TensorFlow is installed")
        env = os.environ | {"KERAS_BACKEND": "jax"}
        subprocess.run([sys.executable, "-c", code], env=env, check=True)


class CifarTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.create_tempdir().full_path

    def test_an_archive_is_read_with_a_tenth_of_each_class_held_out(self):
        (x, y), (x_test, y_test) = parts = small_cifar()
        write_npz(self.folder, "cifar10", parts)
        cifar = datasets.load("cifar10", self.folder)
        np.testing.assert_array_equal(cifar.test.x, x_test)
        np.testing.assert_array_equal(cifar.test.y, y_test)
        np.testing.assert_array_equal(np.bincount(cifar.train.y), [45] * 10)
        np.testing.assert_array_equal(np.bincount(cifar.val.y), [5] * 10)
        self.assertEqual(cifar.class_names[3], "cat")
        whole = datasets.load("cifar10", self.folder, validation="none")
        np.testing.assert_array_equal(whole.train.x, x)
        np.testing.assert_array_equal(whole.train.y, y)

    def test_a_prepared_folder_is_read_in_the_official_order(self):
        parts = small_cifar(classes=100, train=3, test=2)
        write_tfds(self.folder, "cifar100", parts)
        cifar = datasets.load("cifar100", self.folder, validation="none")
        for split, (x, y) in zip((cifar.train, cifar.test), parts):
            np.testing.assert_array_equal(split.x, x)
            np.testing.assert_array_equal(split.y, y)
            self.assertEqual(split.y.dtype, np.int64)
        self.assertEqual(cifar.classes, 100)
        self.assertEqual(list(cifar.class_names), sorted(cifar.class_names))

    def test_what_is_missing_is_fetched_on_demand(self):
        import tensorflow_datasets as tfds

        parts = small_cifar(classes=100, train=2, test=1)
        prepared = os.path.join(self.folder, "elsewhere")
        write_tfds(prepared, "cifar100", parts)
        builder = tfds.builder_from_directory(
            os.path.join(prepared, "cifar100", "3.0.2")
        )
        with (
            mock.patch.object(tfds, "builder", return_value=builder) as find,
            mock.patch.object(builder, "download_and_prepare") as fetch,
        ):
            cifar = datasets.load("cifar100", self.folder, download=True)
        find.assert_called_once_with(
            "cifar100", data_dir=pathlib.Path(self.folder)
        )
        fetch.assert_called_once_with()
        np.testing.assert_array_equal(cifar.test.x, parts[1][0])

    def test_a_prepared_folder_without_ids_is_refused(self):
        write_tfds(self.folder, "cifar10", small_cifar(10, 2, 1), ids=False)
        with self.assertRaisesRegex(ValueError, r"ids.*\['image', 'label'\]"):
            datasets.load("cifar10", self.folder)

    @parameterized.parameters("cifar10", "cifar100", "minicifar")
    def test_missing_files_are_told_without_asking_the_network(self, name):
        with mock.patch.dict(sys.modules, {"tensorflow_datasets": None}):
            with self.assertRaisesRegex(
                FileNotFoundError, f"data_dir='{self.folder}'.*--data_dir"
            ):
                datasets.load(name, self.folder)

    def test_the_default_folder_is_that_of_tensorflow_datasets(self):
        write_npz(self.folder, "cifar10", small_cifar())
        with mock.patch.dict(os.environ, {"TFDS_DATA_DIR": self.folder}):
            self.assertEqual(datasets.load("cifar10").shape, (32, 32, 3))

    def test_an_archive_that_lacks_arrays_is_refused(self):
        np.savez(os.path.join(self.folder, "cifar10.npz"), x_train=np.ones(3))
        with self.assertRaisesRegex(ValueError, r"without \['x_test', 'y_te"):
            datasets.load("cifar10", self.folder)

    @parameterized.parameters("digits", "cifar10", "cifar100")
    def test_only_minicifar_has_the_validation_of_the_course(self, name):
        with self.assertRaisesRegex(ValueError, "held_out, none.*'course'"):
            datasets.load(name, self.folder, validation="course")

    def test_an_unknown_name_lists_the_known_ones(self):
        with self.assertRaisesRegex(ValueError, "Known: cifar10, cifar100"):
            datasets.load("cifar")


class MinicifarTest(parameterized.TestCase):
    def _small(self, **kwargs):
        folder = self.create_tempdir().full_path
        parts = small_cifar()
        write_npz(folder, "cifar10", parts)
        return parts, datasets.load("minicifar", folder, **kwargs)

    @parameterized.parameters(
        (5000, 5, TRAIN_POSITIONS, 1000), (1000, 5, TEST_POSITIONS, 200)
    )
    def test_positions_within_a_class_are_those_of_the_recipe(
        self, per_class, reduction, positions, count
    ):
        labels = np.arange(10 * per_class) % 10
        indices = datasets.minicifar_indices(labels, reduction)
        self.assertLen(indices, 4 * count)
        for label in range(4):
            of_class = indices[count * label : count * (label + 1)]
            np.testing.assert_array_equal(of_class % 10, label)
            np.testing.assert_array_equal(of_class[:6] // 10, positions)

    def test_held_out_images_are_used_nowhere_else(self):
        ((x, _), _), mini = self._small()
        train, val, test = (
            {image.tobytes() for image in part.x}
            for part in (mini.train, mini.val, mini.test)
        )
        self.assertEqual([len(s) for s in (train, val, test)], [40, 8, 100])
        self.assertEmpty(train & val | train & test | val & test)
        self.assertContainsSubset(val, {image.tobytes() for image in x})
        np.testing.assert_array_equal(np.bincount(mini.val.y), [2] * 4)

    def test_the_validation_of_the_course_is_the_head_of_its_test(self):
        _, mini = self._small(validation="course")
        self.assertLen(mini.val, 20)
        for label in range(4):
            np.testing.assert_array_equal(
                mini.val.x[5 * label : 5 * label + 5],
                mini.test.x[25 * label : 25 * label + 5],
            )

    def test_there_can_be_no_validation(self):
        self.assertIsNone(self._small(validation="none")[1].val)

    def test_classes_of_several_sizes_are_refused(self):
        with self.assertRaisesRegex(ValueError, r"\[3, 2, 1, 0\] images"):
            datasets.minicifar_indices(np.array([0, 0, 0, 1, 1, 2]), 5)

    def test_indices_into_the_real_labels_are_the_documented_ones(self):
        lists = np.load(
            conftest.shared_path("data", "minicifar", "index_lists.npz")
        )
        train, test = (
            np.concatenate(
                [
                    np.load(conftest.shared_path("data", "cifar10", name))["y"]
                    for name in names
                ]
            )
            for names in (
                [f"train_{i}.npz" for i in range(1, 6)],
                ["test.npz"],
            )
        )
        drawn = datasets.minicifar_indices(train, 5)
        np.testing.assert_array_equal(drawn[:6], TRAIN_INDICES)
        np.testing.assert_array_equal(drawn, lists["train_idx"])
        reported = datasets.minicifar_indices(test, 1)
        np.testing.assert_array_equal(reported[:6], TEST_INDICES)
        np.testing.assert_array_equal(reported, lists["test_idx"])
        np.testing.assert_array_equal(
            datasets.minicifar_indices(test, 5), lists["val_idx"]
        )
        held_out = datasets.minicifar_indices(train, 5, held_out=True)
        self.assertLen(set(held_out) - set(drawn), 800)

    @pytest.mark.slow
    def test_a_prepared_folder_gives_the_real_images(self):
        path = conftest.shared_path("tools", "load_data.py")
        spec = importlib.util.spec_from_file_location("load_data", path)
        load_data = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(load_data)
        folder = self.create_tempdir().full_path
        subprocess.run(
            [sys.executable, path.with_name("prepare_tfds.py"), folder],
            check=True,
        )
        cifar = datasets.load("cifar10", folder, validation="none")
        for split, (x, y) in zip(
            (cifar.train, cifar.test), load_data.cifar10()
        ):
            np.testing.assert_array_equal(split.x, x)
            np.testing.assert_array_equal(split.y, y)
        mini = datasets.load("minicifar", folder, validation="course")
        for split, (x, y) in zip(
            (mini.train, mini.val, mini.test), load_data.minicifar()
        ):
            np.testing.assert_array_equal(split.x, x)
            np.testing.assert_array_equal(split.y, y)


class TfBatchesTest(parameterized.TestCase):
    def test_an_epoch_has_every_image_once_with_its_label(self):
        epochs = datasets.tf_batches(
            batches_test.SPLIT, 8, batches.Preprocessing(2.0), seed=0
        )
        orders = []
        for _ in range(2):
            images, labels = (np.concatenate(part) for part in zip(*epochs))
            np.testing.assert_array_equal(images[:, 0, 0, 0], 2 * labels)
            self.assertCountEqual(labels.tolist(), range(batches_test.COUNT))
            orders.append(labels.tolist())
        self.assertNotEqual(orders[0], orders[1])

    def test_without_a_seed_the_order_stays(self):
        epoch = datasets.tf_batches(
            batches_test.SPLIT, 8, batches.Preprocessing()
        )
        labels = np.concatenate([y for _, y in epoch])
        np.testing.assert_array_equal(labels, np.arange(batches_test.COUNT))

    @parameterized.parameters((1, True), (1, False), (0, True))
    def test_an_image_becomes_one_of_its_crops(self, padding, flip):
        rng = np.random.default_rng(0)
        image = rng.integers(1, 256, (3, 4, 2), dtype="uint8")
        split = batches.Split(np.stack([image] * 300), np.zeros(300, int))
        epochs = datasets.tf_batches(
            split,
            64,
            batches.Preprocessing(),
            batches.Augmentation(padding, flip),
            seed=0,
        )
        first, second = (np.concatenate([x for x, _ in epochs]) for _ in "ab")
        allowed = {
            crop.astype("float32").tobytes()
            for crop in batches_test.crops_of(image, padding, flip)
        }
        self.assertEqual({crop.tobytes() for crop in first}, allowed)
        self.assertFalse(np.array_equal(first, second))

    def test_the_seed_repeats_order_and_crops(self):
        def labels_and_images():
            epoch = datasets.tf_batches(
                batches_test.SPLIT,
                8,
                batches.Preprocessing(),
                batches.Augmentation(2),
                seed=5,
            )
            return [np.concatenate(part) for part in zip(*epoch)]

        for one, other in zip(labels_and_images(), labels_and_images()):
            np.testing.assert_array_equal(one, other)

    def test_augmentation_without_a_seed_is_refused(self):
        with self.assertRaisesRegex(ValueError, "needs a seed"):
            datasets.tf_batches(
                batches_test.SPLIT,
                8,
                batches.Preprocessing(),
                batches.Augmentation(),
            )
