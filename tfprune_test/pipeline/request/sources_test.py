"""Data of any form, at the door."""

import pathlib
import types
from unittest import mock

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.datasets import batches
from tfprune.pipeline.request import sources

X = np.arange(10, dtype="float32").reshape(5, 2)
Y = np.arange(5)


def source(data, purpose="training", model=None, **kwargs):
    return sources.Source(data, purpose, model, **{"batch_size": 2, **kwargs})


def read(feed):
    return [feed[i] for i in range(len(feed))]


class _Batches(keras.utils.PyDataset):
    """The same batch, once in an epoch."""

    def __init__(self, batch):
        super().__init__()
        self._batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self._batch


class _Iterable:
    """Batches that can be read again, and nothing else, as of a loader."""

    def __init__(self, *batches):
        self._batches = batches

    def __iter__(self):
        return iter(self._batches)


class ArraysTest(parameterized.TestCase):
    def test_every_epoch_has_all_samples_in_an_order_of_its_own(self):
        feed = source((X, Y)).epochs()
        orders = []
        for epoch in range(3):
            feed.epoch = epoch
            found = np.concatenate([y for _, y in read(feed)])
            self.assertCountEqual(found.tolist(), range(5))
            orders.append(found.tolist())
        self.assertNotEqual(orders[0], orders[1])
        again = source((X, Y)).epochs(first=2)
        found = np.concatenate([y for _, y in read(again)])
        self.assertEqual(found.tolist(), orders[2])

    def test_fit_reads_the_epochs_in_their_order(self):
        seen = []

        class Spy(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                feed.epoch = epoch

        net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        net.compile("sgd", "mse")
        feed = source((X, Y.astype("float32"))).epochs()
        original = type(feed).__getitem__

        class Watched(type(feed)):
            def __getitem__(self, index):
                seen.append((self.epoch, index))
                return original(self, index)

        feed.__class__ = Watched
        net.fit(feed, epochs=2, shuffle=False, verbose=0, callbacks=[Spy()])
        for epoch in (0, 1):
            for index in range(3):
                self.assertIn((epoch, index), seen)

    def test_inputs_alone_are_their_own_targets(self):
        ((x, y, weights),) = source(X).batches()
        np.testing.assert_array_equal(x, y)
        self.assertIsNone(weights)

    @parameterized.parameters(list, tuple)
    def test_several_inputs_and_targets_reach_fit(self, kind):
        left, right = keras.Input((2,)), keras.Input((2,))
        outputs = [keras.layers.Dense(1)(x) for x in (left, right)]
        net = keras.Model([left, right], outputs)
        net.compile("sgd", ["mse", "mse"])
        y = Y.astype("float32")
        two = kind([X, X]), kind([y, y]), kind([y, y])
        for data in (two, two[:2], [two, two]):
            found = source(data)
            net.fit(found.epochs(), shuffle=False, verbose=0)
            for x, y_, _ in found.batches():
                self.assertIsInstance(x, list)
                self.assertIsInstance(y_, list)
            self.assertIsInstance(found.some(2)[0], list)

    def test_batches_and_weights(self):
        found = list(source((X, Y, Y * 0.5)).batches(batch_size=2, limit=3))
        self.assertEqual([len(x) for x, _, _ in found], [2, 1])
        np.testing.assert_array_equal(found[1][2], [1.0])

    def test_some_are_at_even_distances(self):
        x, y, weights = source((X, Y)).some(3)
        self.assertIsNone(weights)
        np.testing.assert_array_equal(y, [0, 2, 4])
        np.testing.assert_array_equal(x, X[[0, 2, 4]])

    def test_other_numbers_have_another_digest(self):
        one, two = source((X, Y)), source((X + 1, Y))
        self.assertEqual(one.digest(), source((X, Y)).digest())
        self.assertNotEqual(one.digest(), two.digest())


class BatchesTest(parameterized.TestCase):
    def test_a_list_of_batches(self):
        found = source([(X[:2], Y[:2]), (X[2:], Y[2:])])
        self.assertLen(list(found.batches()), 2)
        labels = np.concatenate([y for _, y in read(found.epochs())])
        self.assertCountEqual(labels.tolist(), Y)

    def test_some_are_at_even_distances(self):
        weights = np.linspace(0, 1, 5)
        data = [(X[:2], Y[:2], weights[:2]), (X[2:], Y[2:], weights[2:])]
        found = source(data)
        for count in (2, 3, 9, 1):
            expected = source((X, Y, weights)).some(count)
            for one, other in zip(found.some(count), expected, strict=True):
                np.testing.assert_array_equal(one, other)

    def test_a_tf_dataset(self):
        tf = keras.backend.backend() == "tensorflow"
        if not tf:
            self.skipTest("a dataset of TensorFlow")
        import tensorflow

        data = tensorflow.data.Dataset.from_tensor_slices((X, Y)).batch(2)
        found = source(data)
        self.assertEqual([len(y) for _, y, _ in found.batches()], [2, 2, 1])
        self.assertIs(found.epochs(), data)
        with self.assertRaisesRegex(ValueError, "infinite"):
            source(data.repeat())

    @parameterized.parameters("an array", "a tuple", "a dataset", "a loader")
    def test_batches_of_inputs_are_their_own_targets_in_fit(self, kind):
        data = _Batches((X,) if kind == "a tuple" else X)
        if kind == "a dataset":
            if keras.backend.backend() != "tensorflow":
                self.skipTest("a dataset of TensorFlow")
            import tensorflow

            data = tensorflow.data.Dataset.from_tensors(X)
        elif kind == "a loader":
            data = _Iterable(X)
        net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        net.compile("sgd", "mse")
        expected = net.evaluate(X, X, verbose=0)
        history = net.fit(source(data).epochs(), shuffle=False, verbose=0)
        self.assertAlmostEqual(history.history["loss"][0], expected, places=4)

    def test_fit_gets_all_batches_of_what_can_only_be_iterated(self):
        y = Y.astype("float32")
        data = _Iterable((X[:2], y[:2]), (X[2:], y[2:]))
        net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        net.compile(keras.optimizers.SGD(0.0), "mse")
        expected = net.evaluate(X, y, verbose=0)
        found = source(data)
        for _ in range(2):  # before and after the batches are counted
            feed = found.epochs()
            history = net.fit(feed, epochs=2, shuffle=False, verbose=0)
            for loss in history.history["loss"]:
                self.assertAlmostEqual(loss, expected, places=4)
            self.assertEqual(sum(len(x) for x, _, _ in found.batches()), 5)

    def test_a_batch_in_a_list_is_one_in_a_tuple(self):
        ((x, y, weights),) = source(_Batches([X, Y])).batches()
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y, Y)
        self.assertIsNone(weights)

    def test_the_digest_looks_at_the_first_batches(self):
        def digest(values):
            batches = [(x[None], np.zeros(1)) for x in values]
            return source(batches).digest()

        values = np.arange(12.0).reshape(6, 2)
        self.assertEqual(digest(values), digest(values.copy()))
        changed = values.copy()
        changed[3] += 1
        self.assertNotEqual(digest(values), digest(changed))

    def test_lists_of_a_dataset_are_inputs_and_targets(self):
        class Lists(keras.utils.PyDataset):
            def __len__(self):
                return 2

            def __getitem__(self, index):
                return [X[index : index + 2], Y[index : index + 2]]

        x, y, weights = source(Lists()).first(2)
        np.testing.assert_array_equal(x, X[:2])
        np.testing.assert_array_equal(y, Y[:2])
        self.assertIsNone(weights)

    def test_the_digest_of_shuffled_batches_is_that_of_their_shapes(self):
        class Shuffled(keras.utils.PyDataset):
            def __init__(self, units):
                super().__init__()
                self.rng, self.units = np.random.default_rng(), units

            def __len__(self):
                return 6

            def __getitem__(self, index):
                return self.rng.normal(size=(2, self.units)), np.zeros(2)

        found = [source(Shuffled(units)).digest() for units in (3, 3, 4)]
        self.assertEqual(found[0], found[1])
        self.assertNotEqual(found[0], found[2])

    def test_so_is_that_of_batches_that_are_shuffled_between_epochs(self):
        class Shuffled(_Batches):
            def on_epoch_end(self):
                x, y = self._batch
                self._batch = x[::-1], y[::-1]

        used, new = Shuffled((X, Y)), Shuffled((X, Y))
        used.on_epoch_end()
        self.assertEqual(source(used).digest(), source(new).digest())
        same = source(_Batches((X, Y))).digest()
        self.assertNotEqual(same, source(_Batches((X + 1, Y))).digest())

    def test_augmented_batches_go_on_with_their_epoch(self):
        split = batches.Split(np.zeros((6, 4, 4, 1)), np.arange(6))
        data = batches.Batches(split, 2, batches.Preprocessing(), seed=0)
        later = source(data).epochs(first=3)
        self.assertEqual(later.epoch, 3)
        self.assertIsNot(later, data)

    def test_batches_that_were_trained_on_are_the_same_data(self):
        """What goes on after a kill may have trained on them or not."""
        split = batches.Split(np.ones((6, 4, 4, 1)), np.arange(6))
        used, new = (
            batches.Batches(split, 2, batches.Preprocessing(), seed=0, epoch=e)
            for e in (5, 0)
        )
        found = source(used)
        self.assertEqual(found.digest(), source(new).digest())
        np.testing.assert_array_equal(found.some(3)[1], source(new).some(3)[1])
        self.assertEqual(used.epoch, 5)

    def test_batches_of_ones_own_class_stay_of_it(self):
        class Doubled(batches.Batches):
            def __getitem__(self, index):
                x, y = super().__getitem__(index)
                return 2 * x, y

        split = batches.Split(np.ones((6, 4, 4, 1)), np.arange(6))
        data = Doubled(split, 2, batches.Preprocessing(), seed=0)
        feed = source(data).epochs(first=3)
        np.testing.assert_array_equal(feed[0][0], np.full((2, 4, 4, 1), 2))
        self.assertEqual((feed.epoch, data.epoch), (3, 0))

    def test_samples_that_are_no_batches(self):
        found = source(list(zip(X, Y, strict=True)))
        with self.assertRaisesRegex(
            ValueError, r"training must come in batches.*\(2,\), \(\). Batch"
        ):
            found.first(3)

    @parameterized.parameters(
        ([[[1.0, 2.0]], [1]], "a list with 1.0 in it"),
        (([[1.0, 2.0]], [1]), "a tuple with 1.0 in it"),
        ((X, Y.tolist()), "a tuple with 0 in it. Convert lists"),
        (None, "Data are needed"),
        (3, "must be arrays"),
        ("no.npz", "existing"),
    )
    def test_what_is_no_data(self, data, text):
        with self.assertRaisesRegex((ValueError, FileNotFoundError), text):
            source(data)


class FilesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def test_arrays_by_name(self):
        path = self.folder / "data.npz"
        np.savez(path, x=X, y=Y, sample_weight=Y * 1.0)
        ((x, y, weights),) = source(str(path)).batches()
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y, weights)

    def test_class_indices_of_a_file_become_rows_where_the_loss_has_rows(self):
        path = self.folder / "data.npz"
        net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(5)])
        rows = {"model": net, "label_mode": "categorical"}
        np.savez(path, x=X, y=Y)
        same = {**rows, "keeps_labels": True}
        for one, expected in (({}, Y), (same, Y), (rows, np.eye(5))):
            ((_, y, _),) = source(str(path), **one).batches()
            np.testing.assert_array_equal(y, expected)
        for labels in (np.eye(5), Y * 0.5):
            np.savez(path, x=X, y=labels)
            ((_, y, _),) = source(str(path), **rows).batches()
            np.testing.assert_array_equal(y, labels)
        np.savez(path, x=X, y=Y - 1)
        with self.assertRaisesRegex(ValueError, "from 0 to 4 .*-1 at sample 0"):
            source(str(path), **rows)

    def test_class_indices_of_tensorflow_datasets_become_rows(self):
        if keras.backend.backend() != "tensorflow":
            self.skipTest("a dataset of TensorFlow")
        tensorflow = pytest.importorskip("tensorflow")
        tfds = pytest.importorskip("tensorflow_datasets")
        label = tfds.features.ClassLabel(num_classes=5)
        info = types.SimpleNamespace(
            features={"x": None, "y": label}, supervised_keys=("x", "y")
        )
        net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(5)])

        def found(y, **kwargs):
            data = tensorflow.data.Dataset.from_tensor_slices((X, y))
            with mock.patch.object(tfds, "load", return_value=(data, info)):
                made = source("tfds:any:all", "validation", net, **kwargs)
            return np.concatenate([y for _, y, _ in made.batches()])

        np.testing.assert_array_equal(found(Y), Y)
        rows = found(Y, label_mode="categorical")
        np.testing.assert_array_equal(rows, np.eye(5))
        with self.assertRaisesRegex(Exception, "without a class"):
            found(Y - 1, label_mode="categorical")
        info.features["y"] = tfds.features.ClassLabel(num_classes=6)
        with self.assertRaisesRegex(ValueError, "6 classes.* 5 outputs"):
            found(Y, label_mode="categorical")

    def test_several_inputs_and_outputs(self):
        path = self.folder / "data.npz"
        np.savez(path, x_left=X, x_right=X, y_kind=Y, y_size=Y)
        ((x, y, _),) = source(str(path)).batches()
        self.assertCountEqual(x, ["left", "right"])
        self.assertCountEqual(y, ["kind", "size"])

    @parameterized.parameters("val", "valid", "validation", "test")
    def test_a_file_of_several_splits(self, name):
        path = self.folder / "data.npz"
        parts = {f"x_{name}": X + 1, f"y_{name}": Y + 1}
        np.savez(path, x_train=X, y_train=Y, **parts)
        for purpose, shift in (("training", 0), ("validation", 1)):
            ((x, y, _),) = source(str(path), purpose).batches()
            np.testing.assert_array_equal(x, X + shift)
            np.testing.assert_array_equal(y, Y + shift)
        np.savez(path, x_train=X, y_train=Y)
        with self.assertRaisesRegex(
            ValueError, "for validation: x_val .*has x_train, y_train"
        ):
            source(str(path), "validation")

    def test_weights_of_no_split_are_for_training(self):
        path = self.folder / "data.npz"
        arrays = {"x_train": X, "y_train": Y, "x_val": X, "y_val": Y}
        np.savez(path, **arrays, sample_weight=Y * 1.0)
        (found,) = source(str(path)).batches(len(X))
        np.testing.assert_array_equal(found[2], Y)
        (found,) = source(str(path), "validation").batches(len(X))
        self.assertIsNone(found[2])
        np.savez(path, **arrays, sample_weight=Y, sample_weight_train=Y + 1)
        (found,) = source(str(path)).batches(len(X))
        np.testing.assert_array_equal(found[2], Y + 1)

    def test_x_and_y_beside_another_split_are_for_training(self):
        path = self.folder / "data.npz"
        parts = {"x": X, "y": Y, "sample_weight": Y * 1.0}
        other = {f"{name}_val": part + 1 for name, part in parts.items()}
        np.savez(path, **parts, **other)
        for purpose, shift in (("training", 0), ("validation", 1)):
            (found,) = source(str(path), purpose).batches(len(X))
            for part, expected in zip(found, (X, Y, Y), strict=True):
                np.testing.assert_array_equal(part, expected + shift)
        np.savez(path, x=X, y=Y, x_train=X, y_train=Y)
        with self.assertRaisesRegex(ValueError, "for validation: x_val "):
            source(str(path), "validation")

    def test_names_that_say_nothing(self):
        path = self.folder / "data.npz"
        np.savez(path, images=X, labels=Y)
        with self.assertRaisesRegex(ValueError, "has no x"):
            source(str(path))

    def test_a_folder_of_images(self):
        if keras.backend.backend() != "tensorflow":
            self.skipTest("folders are read by TensorFlow")
        for name, level in (("cat", 10), ("dog", 200)):
            (self.folder / name).mkdir()
            image = np.full((4, 4, 1), level, "uint8")
            for number in range(3):
                path = self.folder / name / f"{number}.png"
                keras.utils.save_img(path, image, scale=False)
        flat = keras.Sequential(
            [keras.Input((4, 4, 1)), keras.layers.Flatten()]
        )
        two, three = (
            keras.Sequential([flat, keras.layers.Dense(n)]) for n in (2, 3)
        )
        found = source(str(self.folder), "validation", two)
        for x, y, _ in found.batches():
            np.testing.assert_array_equal(x[:, 0, 0, 0] > 100, y == 1)
        sources.check_classes(found, found)
        (self.folder / "ant").mkdir()
        with self.assertRaisesRegex(ValueError, "3 \\(ant, cat, dog\\).*(2,)"):
            source(str(self.folder), "training", two)
        other = source(str(self.folder), "training", three)
        with self.assertRaisesRegex(ValueError, "'ant' only in training"):
            sources.check_classes(other, found)


if __name__ == "__main__":
    absltest.main()
