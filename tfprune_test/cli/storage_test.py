import os
import pathlib
import zipfile

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.cli import storage


class StorageTestCase(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.path = str(self.folder / "a.npz")


class ArraysTest(StorageTestCase):
    def test_no_path_is_nothing(self):
        for path in (None, ""):
            self.assertIsNone(storage.load_arrays(path))
            self.assertIsNone(storage.load_samples(path, "--data"))

    def test_an_array_a_pair_or_arrays_by_name(self):
        x, y = np.arange(6.0).reshape(2, 3), np.array([0, 1])
        np.save(self.folder / "a.npy", x)
        found = storage.load_arrays(self.folder / "a.npy")
        np.testing.assert_array_equal(found, x)
        np.savez(self.path, y=y, x=x)
        found = storage.load_arrays(self.path)
        np.testing.assert_array_equal(found[0], x)
        np.testing.assert_array_equal(found[1], y)
        np.savez(self.path, x=x, y=y, z=x)
        self.assertEqual(list(storage.load_arrays(self.path)), ["x", "y", "z"])
        np.savez(self.path, x=x)
        np.testing.assert_array_equal(storage.load_arrays(self.path), x)
        np.savez(self.path, x_1=x, x_2=x)  # Names of inputs.
        self.assertEqual(list(storage.load_arrays(self.path)), ["x_1", "x_2"])

    def test_what_holds_no_numbers(self):
        path = pathlib.Path(self.path)
        np.save(self.folder / "code.npy", np.array([{}]), allow_pickle=True)
        (self.folder / "empty.npy").write_bytes(b"")
        (self.folder / "text.npy").write_text("1, 2, 3")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", "{}")
        whole = self.folder / "whole.npz"
        np.savez(whole, x=np.ones(999))
        (self.folder / "half.npz").write_bytes(whole.read_bytes()[:500])
        for name in ("code.npy", "empty.npy", "text.npy", "a.npz", "half.npz"):
            problem = "file of numbers is needed. Received"
            if name == "half.npz":
                problem = "file is damaged"
            with self.assertRaisesRegex(ValueError, f"{problem}: .*{name}'"):
                storage.load_arrays(str(self.folder / name))

    def test_no_such_file(self):
        for path, which in (
            (self.path, "a.npz', which is not there"),
            (str(self.folder), "', which is a folder"),
        ):
            with self.assertRaisesRegex(
                FileNotFoundError, f"Received: .*{which}"
            ):
                storage.load_arrays(path)


class SamplesTest(StorageTestCase):
    def test_as_many_of_each(self):
        np.savez(self.path, x=np.ones((3, 2)), y=np.zeros(3))
        x, y = storage.load_samples(self.path, "--data")
        self.assertEqual((x.shape, y.shape), ((3, 2), (3,)))

    def test_several_inputs_and_outputs_and_weights(self):
        ones = np.ones(3)
        np.savez(self.path, x_a=ones, x_b=ones, y_c=ones, sample_weight=ones)
        x, y, weights = storage.load_samples(self.path, "--data")
        self.assertEqual((set(x), set(y)), ({"a", "b"}, {"c"}))
        self.assertLen(weights, 3)
        np.savez(self.path, x_a=ones, x_b=ones[:2], y=ones)
        with self.assertRaisesRegex(ValueError, "needs as many x as y"):
            storage.load_samples(self.path, "--data")

    @parameterized.parameters(
        ((3, 2), (2,), r"shape \(3, 2\) and \(2,\)"),
        ((0, 2), (0,), r"shape \(0, 2\) and \(0,\)"),
        ((), (), r"shape \(\) and \(\)"),
    )
    def test_other_numbers_of_samples(self, x, y, message):
        np.savez(self.path, x=np.ones(x), y=np.ones(y))
        with self.assertRaisesRegex(
            ValueError, f"--data needs as many x as y, .*{message}"
        ):
            storage.load_samples(self.path, "--data")

    def test_other_arrays(self):
        np.savez(self.path, x=np.ones(3), labels=np.ones(3))
        with self.assertRaisesRegex(ValueError, "which holds x, labels. Write"):
            storage.load_samples(self.path, "--data")
        np.save(self.folder / "a.npy", np.ones(3))
        with self.assertRaisesRegex(ValueError, "which holds one array. Write"):
            storage.load_samples(str(self.folder / "a.npy"), "--data")


class PathsTest(StorageTestCase):
    def test_a_model_may_be_there(self):
        for name in ("a.keras", "a.h5", "a.hdf5"):
            path = self.folder / name
            with self.assertRaises(FileNotFoundError):
                storage.check_model(str(path))
            path.write_text("")
            storage.check_model(str(path))
        saved = self.folder / "saved"
        saved.mkdir()
        with self.assertRaisesRegex(ValueError, "in .keras or .h5. Received"):
            storage.check_model(str(saved))
        (saved / "saved_model.pb").write_text("")
        storage.check_model(str(saved))

    def test_where_a_model_is_written(self):
        path = str(self.folder / "out.keras")
        self.assertEqual(str(storage.model_path(path, ["in.keras"])), path)
        with self.assertRaisesRegex(ValueError, "--out=FILE must say"):
            storage.model_path(None, [])
        with self.assertRaisesRegex(ValueError, "A model is written to"):
            storage.model_path(str(self.folder / "out.tflite"), [])

    def test_the_model_that_is_read_is_not_overwritten(self):
        read = self.folder / "in.keras"
        read.write_text("")
        link = self.folder / "link.keras"
        os.symlink(read, link)
        other = self.folder / "other.keras"
        other.write_text("")
        for path in (read, link, self.folder / "." / "in.keras"):
            with self.assertRaisesRegex(ValueError, "must not be overwritten"):
                storage.model_path(str(path), [str(other), str(read)])
        storage.model_path(str(other), [str(read), "missing.keras"])

    def test_two_names_of_one_file(self):
        read, link = self.folder / "in.npz", self.folder / "link.npz"
        for _ in ("missing", "there"):
            self.assertTrue(storage.is_same(f"{self.folder}/./in.npz", read))
            self.assertFalse(storage.is_same(link, read))
            read.write_text("")
        os.symlink(read, link)
        self.assertTrue(storage.is_same(link, read))
        link.unlink()
        os.link(read, link)
        self.assertTrue(storage.is_same(link, read))

    def test_a_model_that_cannot_be_written_leaves_the_old_one(self):
        path = self.folder / "out.keras"
        path.write_text("old")

        class Model:
            variables = ()

            def __init__(self, fails):
                self.fails = fails

            def save(self, path):
                pathlib.Path(path).write_text("new")
                if self.fails:
                    raise OSError("the drive is full")

        with self.assertRaises(OSError):
            storage.save_model(Model(fails=True), path)
        self.assertEqual(path.read_text(), "old")
        storage.save_model(Model(fails=False), path)
        self.assertEqual(path.read_text(), "new")
        self.assertEqual(os.listdir(self.folder), ["out.keras"])


if __name__ == "__main__":
    absltest.main()
