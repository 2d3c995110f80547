import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.convert.traced import float_layers
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

X = np.random.default_rng(0).normal(size=(50, 6)).astype("float32")


def model():
    inputs = keras.Input((6,), name="x")
    x = keras.layers.Dense(5, activation="relu", name="first")(inputs)
    x = keras.layers.Dense(4, activation="relu", name="middle")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="last")(x))


class FloatLayersTest(parameterized.TestCase):
    @parameterized.parameters("first", "mid*", "last")
    def test_chosen_layers_stay_in_float(self, pattern):
        network = model()
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        file = small_models.export(network, path, "int8", X, keep_float=pattern)
        self.assertEqual(file.ops["FULLY_CONNECTED"], 3)
        self.assertEqual(
            file.inputs[0].dtype, "float32" if pattern == "first" else "int8"
        )
        self.assertEqual(
            file.outputs[0].dtype, "float32" if pattern == "last" else "int8"
        )
        wanted = np.asarray(network(X))
        for runtime in ("micro", "reference"):
            found = interpreter.run(path, X, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.1)
        self.assertEqual([x.name for x in network.layers][1], "first")

    @parameterized.parameters("int8", "float32")
    def test_all_layers_stay_in_float(self, interface):
        network = model()
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        file = small_models.export(
            network, path, "int8", X, keep_float="*", interface=interface
        )
        self.assertEqual(file.ops, {"FULLY_CONNECTED": 3})
        self.assertEqual(file.inputs[0].dtype, "float32")
        for runtime in ("micro", "reference"):
            found = interpreter.run(path, X, runtime)
            np.testing.assert_allclose(found, network(X), atol=1e-5)

    def test_the_layer_behind_an_output_of_another_name(self):
        head = [keras.layers.Dense(4), keras.layers.Softmax(name="last")]
        plain = keras.Sequential([keras.Input((6,)), *head])
        nested = keras.Sequential([keras.Input((6,)), plain])
        for number, network in enumerate((plain, nested)):
            folder = self.create_tempdir().full_path
            file = small_models.export(
                network,
                pathlib.Path(folder, f"{number}.tflite"),
                "int8",
                X,
                keep_float="last",
            )
            self.assertEqual(file.ops["DEQUANTIZE"], 1)
            self.assertEqual(file.outputs[0].dtype, "float32")

    def test_names_come_before_patterns(self):
        network = keras.Sequential(
            [
                keras.Input((2,)),
                keras.layers.Dense(2, name="a[b]"),
                keras.layers.Dense(2, name="ab"),
            ]
        )
        found = float_layers.named(network, ["a[b]"])
        self.assertEqual([x.name for x in found], ["a[b]"])
        found = float_layers.named(network, "a*")
        self.assertLen(found, 2)

    def test_a_pattern_that_names_no_layer(self):
        with self.assertRaisesRegex(ValueError, "fits none of first, last"):
            float_layers.named(model(), "conv*")
