import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.core import packages
from tfprune.export.edit import finishing
from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune_test.export import small_models


class FinishedTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.path = self.folder / "model.tflite"

    @parameterized.product(
        mode=["int8", "int16x8"], interface=["float32", None]
    )
    def test_outputs_that_are_one_tensor_have_one_name(self, mode, interface):
        x = keras.Input((6,), name="x")
        y = keras.layers.Dense(6, name="y")(x)
        z = keras.layers.Dense(6, name="y_int16")(x)
        model = keras.Model(x, [y, z, x, y, z, x])
        data = small_models.samples(model)
        options = {"interface": interface} if interface else {}
        file = small_models.export(model, self.path, mode, data, **options)
        names = [tensor.name for tensor in file.outputs]
        self.assertEqual(names, ["y", "y_int16", "x"] * 2)

    def runner(self, path):
        litert = packages.load("ai_edge_litert.interpreter")
        return litert.Interpreter(str(path)).get_signature_runner()

    def test_inputs_and_outputs_have_the_names_of_the_model(self):
        model = small_models.two_in_two_out()
        small_models.export(model, self.path)
        left, above = small_models.samples(model, 1)
        found = self.runner(self.path)(left=left, above=above)
        wanted = small_models.predictions(model, [left, above])
        for name, value in zip(("sum", "part"), wanted, strict=True):
            np.testing.assert_allclose(found[name], value, rtol=1e-5)

    @parameterized.parameters("float32", "float16", "dynamic", "int8", "int4")
    def test_weights_lie_inside_at_multiples_of_16(self, mode):
        model = small_models.large()
        x = small_models.samples(model, 30)
        data = x if mode.startswith("int") else None
        small_models.export(model, self.path, mode, data)
        content = self.path.read_bytes()
        schema = packages.load("ai_edge_litert.schema_py_generated")
        file = schema.Model.GetRootAs(content, 0)
        filled = 0
        for buffer in map(file.Buffers, range(file.BuffersLength())):
            self.assertLessEqual(buffer.Offset(), 1)
            if buffer.DataLength():
                values = buffer.DataAsNumpy()
                start = (
                    values.ctypes.data
                    - np.frombuffer(content, np.uint8).ctypes.data
                )
                self.assertEqual(start % 16, 0)
                filled += 1
        self.assertGreater(filled, 1)
        self.assertLen(self.runner(self.path).get_input_details(), 1)

    def test_metadata_and_outputs_stay(self):
        model = small_models.residual()
        x = small_models.samples(model, 20)[0]
        small_models.export(model, self.path, "int8", x)
        data = self.path.read_bytes()
        again = self.folder / "again.tflite"
        again.write_bytes(finishing.finished(data))
        np.testing.assert_array_equal(
            interpreter.run(self.path, x), interpreter.run(again, x)
        )
        for name in (b"min_runtime_version", b"CONVERSION_METADATA"):
            self.assertIn(name, again.read_bytes())
        before, after = map(model_file.read, (self.path, again))
        self.assertEqual(before.outputs, after.outputs)
        self.assertEqual(again.read_bytes(), data)
