import pathlib
from unittest import mock

import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from ai_edge_litert import schema_py_generated as schema

from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune.export.run import litert
from tfprune.export.run import litert_runner
from tfprune_test.export import hand_made


def clipped_below(steps=None):
    """A file of two ops, which give what is above zero."""
    sketch = hand_made.Sketch()
    dtype = "float32" if steps is None else "int8"
    x, y, z = (sketch.tensor(n, (1, 3), dtype, steps) for n in "xyz")
    sketch.op("RELU", [x], [y])
    sketch.op("RELU", [y], [z])
    return sketch.data([x], [z])


def summed(dtype):
    """A file that adds up four numbers."""
    sketch = hand_made.Sketch()
    x, y = (
        sketch.tensor(name, (1, size), dtype, ([0.5], [0]))
        for name, size in (("x", 4), ("y", 1))
    )
    axes = sketch.constant("axes", np.array([1], "int32"))
    op = sketch.op("SUM", [x, axes], [y], version=2)
    op.builtinOptionsType = schema.BuiltinOptions.ReducerOptions
    op.builtinOptions = schema.ReducerOptionsT()
    op.builtinOptions.keepDims = True
    return sketch.data([x], [y])


class LitertTest(parameterized.TestCase):
    def path(self, data):
        path = pathlib.Path(self.create_tempdir().full_path, "a.tflite")
        path.write_bytes(data)
        return path

    @parameterized.parameters("xnnpack", "builtin", "reference")
    def test_samples_run_one_by_one(self, choice):
        file = model_file.read(self.path(clipped_below()))
        x = np.array([[1, -2, 3], [-4, 5, -6]], "float32")
        (found,) = litert.invoke(file, [x], choice)
        np.testing.assert_array_equal(found, np.maximum(x, 0))

    @parameterized.parameters("int8", "int16")
    def test_reference_kernels_that_are_wrong_do_not_run(self, dtype):
        """They take the bytes of sums for unsigned ones."""
        path = self.path(summed(dtype))
        x = np.array([[-1.5, 1, -3, 0.5]], "float32")
        with self.assertLogs("absl", "WARNING") as logs:
            found = interpreter.run(path, x, "reference")
            (tensors,) = litert.intermediate(path, x)
        self.assertIn("cannot run", logs.output[0])
        self.assertIn("SUM of integers is wrong", logs.output[0])
        np.testing.assert_array_equal(found, [[-3.0]])
        np.testing.assert_array_equal(tensors["y"][0], [[-3.0]])

    def test_the_kernels_that_run_a_file(self):
        path = self.path(clipped_below())
        self.assertEqual(litert.kernels(path), "xnnpack")
        self.assertEqual(litert.open_file(path, "builtin")[1], "builtin")

    def test_inner_tensors_and_what_they_hold(self):
        path = self.path(clipped_below(([0.5], [0])))
        x = np.array([[1.0, -2.0, 100.0]], "float32")
        (found,) = litert.intermediate(path, x)
        values, *ends = found["y"]
        np.testing.assert_array_equal(values, [[1.0, 0.0, 63.5]])
        self.assertEqual(ends, [-64.25, 63.75])
        (found,) = litert.intermediate(self.path(clipped_below()), x)
        values, *ends = found["y"]
        np.testing.assert_array_equal(values, [[1.0, 0.0, 100.0]])
        self.assertEqual(ends, [-np.inf, np.inf])

    def test_a_range_from_zero(self):
        detail = {"quantization": (0.5, -128)}
        stored = np.array([-128, -128, 0, 127], "int8")
        values, *ends = litert._real(detail, stored)
        np.testing.assert_array_equal(values, [0.0, 0.0, 64.0, 127.5])
        self.assertEqual(ends, [-0.25, 127.75])

    def test_times_of_files_in_turns(self):
        path = self.path(clipped_below())
        found = litert.times([path, path], runs=3)
        self.assertEqual(found.shape, (3, 2))
        self.assertGreater(found.min(), 0.0)

    def test_inner_tensors_stay_readable_without_xnnpack(self):
        """The second try, too, is told to preserve them."""
        library = mock.Mock()
        library.Interpreter.side_effect = [ValueError("no"), mock.Mock()]
        with mock.patch.object(litert.packages, "load", return_value=library):
            _, kernels = litert.open_file("a.tflite", preserve=True)
        self.assertEqual(kernels, "builtin")
        for call in library.Interpreter.call_args_list:
            self.assertTrue(call.kwargs["experimental_preserve_all_tensors"])

    def test_a_file_that_does_not_run_is_named(self):
        path = self.path(b"\x00" * 64)
        with self.assertRaisesRegex(RuntimeError, "a.tflite'.*reports"):
            litert.open_file(path, "builtin")


class RunnerTest(absltest.TestCase):
    def test_outputs_are_written_by_sample(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        (folder / "a.tflite").write_bytes(clipped_below())
        x = np.array([[1, -2, 3], [-4, 5, -6]], "float32")
        np.save(folder / "x.npy", x)
        litert_runner.handle(
            {
                "path": str(folder / "a.tflite"),
                "inputs": [str(folder / "x.npy")],
                "outputs": [str(folder / "y.npy")],
            }
        )
        found = np.load(folder / "y.npy")
        np.testing.assert_array_equal(found, np.maximum(x, 0))


if __name__ == "__main__":
    absltest.main()
