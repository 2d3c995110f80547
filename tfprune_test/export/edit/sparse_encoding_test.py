import pathlib
import shutil
from unittest import mock

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.convert import graph_file
from tfprune.export.convert import tflite
from tfprune.export.edit import sparse_encoding
from tfprune.export.run import interpreter
from tfprune_test.export import small_models


def mlp(block):
    """Dense layers with four fifths of their weights zero, in blocks."""
    inputs = x = keras.Input((64,))
    for _ in range(2):
        x = keras.layers.Dense(64, activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(8)(x))
    rng = np.random.default_rng(0)
    for layer in model.layers[1:]:
        kernel = layer.kernel.numpy()
        rows = rng.random((64 // block, kernel.shape[1])) > 0.8
        layer.kernel.assign(kernel * np.repeat(rows, block, 0))
    return model


class SparseTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    @parameterized.parameters((4, "float32"), (16, "int8"))
    def test_blocks_of_zeros_are_not_stored(self, block, mode):
        model = mlp(block)
        x = small_models.samples(model, 50)[0]
        data = x if mode == "int8" else None
        dense, sparse = files = [
            small_models.export(
                model, self.folder / f"{way}.tflite", mode, data, sparse=way
            )
            for way in (None, "auto")
        ]
        self.assertLess(sparse.file_bytes, 0.6 * dense.file_bytes)
        a, b = (interpreter.run(file.path, x) for file in files)
        step = dense.outputs[0].scale or 1e-5
        np.testing.assert_allclose(a, b, atol=1.1 * step)

    @parameterized.parameters("int8", "float32")
    def test_beside_layers_in_float(self, interface):
        model = mlp(16)
        x = small_models.samples(model, 50)[0]
        dense, sparse = files = [
            small_models.export(
                model,
                self.folder / f"{way}.tflite",
                *("int8", x),
                sparse=way,
                interface=interface,
                keep_float=[model.layers[-1].name],
            )
            for way in (None, "auto")
        ]
        self.assertLess(sparse.file_bytes, 0.6 * dense.file_bytes)
        self.assertEqual(sparse.inputs, dense.inputs)
        self.assertEqual(sparse.outputs, dense.outputs)
        # Of the layers before, a value may be a step less or more.
        a, b = (interpreter.run(file.path, x) for file in files)
        np.testing.assert_allclose(a, b, atol=np.abs(a).max() / 50)

    def test_many_weights_keep_names_and_order(self):
        """The converter reads these from a file that has others."""
        model = mlp(4)
        more = keras.Input((3,), name="a")
        ends = [keras.layers.Dense(2, name="y")(more), model.output]
        model = keras.Model([model.input, more], ends)
        path = self.folder / "a.tflite"
        with mock.patch.object(graph_file, "_MANY_BYTES", 0):
            dense = small_models.export(model, path)
            file = small_models.export(model, path, sparse="auto")
        self.assertLess(file.file_bytes, 0.6 * dense.file_bytes)
        for kept, found in (
            (dense.inputs, file.inputs),
            (dense.outputs, file.outputs),
        ):
            self.assertEqual([t.name for t in found], [t.name for t in kept])
        x = small_models.samples(model)
        wanted = small_models.predictions(model, x)
        for got, exact in zip(interpreter.run(path, x), wanted, strict=True):
            np.testing.assert_allclose(got, exact, atol=1e-5)

    def test_a_dense_file_stays_dense(self):
        model = small_models.large()
        paths = self.folder / "a.tflite", self.folder / "b.tflite"
        small_models.export(model, paths[0])
        with self.assertLogs("absl", "WARNING") as logs:
            small_models.export(model, paths[1], sparse="auto")
        self.assertIn("would hardly be smaller", logs.output[-1])
        self.assertEqual(*(path.read_bytes() for path in paths))

    def test_what_xnnpack_refuses_stays_dense(self):
        model = mlp(1)
        x = small_models.samples(model, 50)[0]
        path = self.folder / "a.tflite"
        with self.assertLogs("absl", "WARNING") as logs:
            file = small_models.export(model, path, "int8", x, sparse="auto")
        self.assertIn("XNNPACK does not run the file", logs.output[-1])
        self.assertNotIn("DENSIFY", file.ops)

    def test_other_outputs_are_refused(self):
        models = small_models.large(), small_models.dense()
        paths = self.folder / "a.tflite", self.folder / "b.tflite"
        for model, path in zip(models, paths, strict=True):
            small_models.export(model, path)
        shutil.copy(paths[1], self.folder / "c.tflite")
        with self.assertRaises(ValueError):
            # Not even of the same model.
            sparse_encoding.choose(*paths, False)
        other = mlp(4)
        small_models.export(other, paths[0])
        other.layers[1].kernel.assign(other.layers[1].kernel.numpy() * 0)
        small_models.export(other, paths[1], "float16")
        with self.assertLogs("absl", "WARNING") as logs:
            self.assertEqual(sparse_encoding.choose(*paths, False), paths[0])
        self.assertIn("outputs on TFLite would differ", logs.output[-1])

    def test_arguments(self):
        with self.assertRaisesRegex(ValueError, "sparse=True"):
            tflite.export_tflite(
                small_models.dense(), self.folder / "a.tflite", sparse=True
            )


if __name__ == "__main__":
    absltest.main()
