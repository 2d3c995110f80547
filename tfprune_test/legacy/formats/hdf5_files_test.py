"""What stands in an HDF5 file."""

import io
import json
import pathlib
import zipfile

import h5py
import numpy as np
from absl.testing import absltest

from tfprune.legacy.formats import hdf5_files


class FilesTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.create_tempdir().full_path
        self.path = pathlib.Path(folder, "model.bin")

    def write(self, group=None, config=True, **attributes):
        """A model of layers a, with two arrays, and b, with none."""
        with h5py.File(self.path, "w") as file:
            if config:
                file.attrs["model_config"] = json.dumps({"class_name": "M"})
            for name, value in attributes.items():
                file.attrs[name] = value
            inner = file.create_group(group) if group else file
            inner.attrs["layer_names"] = [b"a", b"b"]
            layer = inner.create_group("a")
            # The second one in a list of its own, as large ones are.
            layer.attrs["weight_names0"] = [b"a/kernel:0"]
            layer.attrs["weight_names1"] = ["a/bias:0"]
            layer["a/kernel:0"] = np.arange(6.0).reshape(2, 3)
            layer["a/bias:0"] = np.ones(3, "float32")
            inner.create_group("b").attrs["weight_names"] = np.zeros(0)

    def test_what_a_file_of_keras_2_says(self):
        self.write(
            "model_weights",
            keras_version=b"2.3.1",
            backend="theano",
            training_config=json.dumps({"loss": "mse"}),
        )
        found = hdf5_files.read_h5(self.path)
        self.assertEqual(found.entry, {"class_name": "M"})
        self.assertEqual(found.version, "2.3.1")
        self.assertEqual(found.backend, "theano")
        self.assertEqual(found.training, {"loss": "mse"})
        self.assertEqual(list(found.weights), ["a", "b"])
        self.assertEqual(found.weights["b"], [])
        (kernel, k), (bias, b) = found.weights["a"]
        self.assertEqual((kernel, bias), ("a/kernel:0", "a/bias:0"))
        np.testing.assert_array_equal(k, [[0, 1, 2], [3, 4, 5]])
        np.testing.assert_array_equal(b, [1, 1, 1])

    def test_what_a_file_says_nothing_of(self):
        self.write()
        found = hdf5_files.read_h5(self.path)
        self.assertEqual(found.version, "1")
        self.assertEqual(found.backend, "tensorflow")
        self.assertIsNone(found.training)
        self.assertEqual(hdf5_files.h5_version(self.path), "1")

    def test_the_version_may_stand_by_the_weights(self):
        self.write("model_weights")
        with h5py.File(self.path, "a") as file:
            file["model_weights"].attrs["keras_version"] = "2.2.4"
            file["model_weights"].attrs["backend"] = b"cntk"
        self.assertEqual(hdf5_files.h5_version(self.path), "2.2.4")
        self.assertEqual(hdf5_files.read_h5(self.path).backend, "cntk")

    def test_weights_alone_are_no_model(self):
        self.write(config=False)
        with self.assertRaisesRegex(
            ValueError, "no config, only weights. Build the model and call"
        ):
            hdf5_files.read_h5(self.path)

    def test_an_archive_whose_weights_lie_where_a_file_may_start(self):
        data = io.BytesIO()
        with h5py.File(data, "w") as file:
            file["a"] = np.zeros(3)
        path = pathlib.Path(self.create_tempdir().full_path, "model.keras")
        # A header of 30 bytes and a name come before each entry.
        size = 512 - len("config.json") - len("w.h5") - 2 * 30
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", " " * size)
            archive.writestr("w.h5", data.getvalue())
        self.assertTrue(h5py.is_hdf5(path))
        self.assertFalse(hdf5_files.is_hdf5(path))

    def test_a_file_is_known_by_what_it_holds(self):
        self.write()
        self.assertTrue(hdf5_files.is_hdf5(self.path))
        other = self.path.with_suffix(".h5")
        other.write_text("no HDF5")
        self.assertFalse(hdf5_files.is_hdf5(other))
        self.assertFalse(hdf5_files.is_hdf5(self.path.parent))
        self.assertFalse(hdf5_files.is_hdf5(self.path.with_name("none")))


if __name__ == "__main__":
    absltest.main()
