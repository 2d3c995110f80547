"""What is written for the process that converts."""

import math
import pathlib

import keras
import numpy as np
from absl.testing import absltest

from tfprune.export.convert import converter
from tfprune.export.convert import graph_file
from tfprune.export.convert import signature as signature_lib

SIZES = {"float32": 4, "int32": 4}


def net():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    x = keras.layers.Dense(3, name="first")(keras.layers.Subtract()([a, b]))
    return keras.Model([a, b], [x, keras.layers.ReLU()(x)])


class GraphFileTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def write(self, model, interface=None):
        signature = signature_lib.of(model)
        return graph_file.write(model, signature, self.folder, interface)

    def test_the_bytes_on_disk_are_those_of_the_manifest(self):
        model = net()
        manifest = self.write(model)
        self.assertEqual([i["shape"] for i in manifest["inputs"]], [(1, 4)] * 2)
        self.assertLen(manifest["outputs"], 2)
        self.assertFalse(manifest["saved"])
        self.assertIn("MatMul", manifest["places"])
        data = (self.folder / converter.WEIGHTS).read_bytes()
        arrays = []
        for entry in manifest["weights"]:
            count = math.prod(entry["shape"]) * SIZES[entry["dtype"]]
            piece, data = data[:count], data[count:]
            if entry["variable"]:
                array = np.frombuffer(piece, entry["dtype"])
                arrays.append(array.reshape(entry["shape"]))
        self.assertEqual(data, b"")
        wanted = {w.shape: w for w in model.get_weights()}
        self.assertLen(arrays, 2)
        for array in arrays:
            np.testing.assert_array_equal(array, wanted[array.shape])

    def test_an_output_has_the_name_of_the_model(self):
        inputs = keras.Input((4,), name="image")
        outputs = keras.layers.Dense(2, name="classes")(inputs)
        model = keras.Model(inputs, outputs, name="classes")
        for interface in (None, "int8"):
            manifest = self.write(model, interface)
            self.assertEqual(manifest["outputs"], ["classes:0"])
            function, _ = converter.load(self.folder, manifest)
            x = keras.ops.ones((1, 4))
            np.testing.assert_allclose(*function(x), model(x), rtol=1e-6)

    def test_inputs_and_outputs_stay_in_order(self):
        model = net()
        request = {
            "folder": str(self.folder),
            "manifest": self.write(model),
            "mode": {
                "ops": ["TFLITE_BUILTINS"],
                "types": [],
                "optimize": False,
                "calibrated": False,
                "weight_bits": None,
            },
            "dense_scales": None,
            "keep_float": False,
            "sparse": False,
        }
        count = converter.handle(request)
        path = self.folder / converter.RESULT
        self.assertEqual(path.stat().st_size, count)
        from ai_edge_litert import interpreter as litert

        interpreter = litert.Interpreter(str(path))
        interpreter.allocate_tensors()
        a, b = np.random.default_rng(0).normal(size=(2, 1, 4)).astype("float32")
        for detail, value in zip(
            interpreter.get_input_details(), (a, b), strict=True
        ):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        for detail, wanted in zip(
            interpreter.get_output_details(), model([a, b]), strict=True
        ):
            found = interpreter.get_tensor(detail["index"])
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)

    def test_a_model_that_cannot_be_traced_is_told(self):
        class Eager(keras.layers.Layer):
            def call(self, x):
                return x * float(np.asarray(x).sum())

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        model.call = lambda x, **_: Eager()(x)
        with self.assertRaisesRegex(
            RuntimeError, "callable on symbolic inputs"
        ):
            self.write(model)


if __name__ == "__main__":
    absltest.main()
