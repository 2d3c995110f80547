import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models

RNG = np.random.default_rng(0)


def small(dtype):
    stored = keras.dtype_policies.get(dtype).compute_dtype
    return keras.Sequential(
        [
            keras.Input((6, 6, 2), dtype=stored),
            keras.layers.Conv2D(3, 3, activation="relu", dtype=dtype),
            keras.layers.GlobalAveragePooling2D(dtype=dtype),
            keras.layers.Dense(2, dtype=dtype),
        ]
    )


def recurrent(layer, dtype):
    inputs = keras.Input((4, 3))
    x = layer(3, dtype=dtype, return_sequences=True)(inputs)
    x = keras.layers.Flatten(dtype=dtype)(x)
    return keras.Model(inputs, keras.layers.Dense(2, dtype=dtype)(x))


def scaled(dtype):
    inputs = keras.Input((4,), dtype=dtype)
    x = keras.layers.Rescaling(1 / 100)(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def looked_up(dtype):
    inputs = keras.Input((4,), dtype=dtype)
    x = keras.layers.Embedding(9, 3)(inputs)
    return keras.Model(inputs, keras.layers.Flatten()(x))


class GraphTypesTest(parameterized.TestCase):
    def exported(self, model, mode, x=None, **settings):
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        return small_models.export(model, path, mode, x, **settings)

    @parameterized.parameters("float16", "bfloat16", "float64")
    def test_other_floats_become_float32(self, dtype):
        model = small(dtype)
        x = RNG.normal(size=(30, 6, 6, 2)).astype("float32")
        wanted = np.asarray(model(x)).astype("float32")
        file = self.exported(model, "float32")
        self.assertEqual(file.inputs[0].dtype, "float32")
        found = interpreter.run(file.path, x)
        # What the model itself rounds, the file does not.
        np.testing.assert_allclose(found, wanted, atol=0.02)

    def test_half_precision_as_int8(self):
        model = small("mixed_float16")
        x = RNG.normal(size=(30, 6, 6, 2)).astype("float32")
        file = self.exported(model, "int8", x)
        wanted = np.asarray(model(x)).astype("float32")
        found = interpreter.run(file.path, x, "micro")
        np.testing.assert_allclose(found, wanted, atol=0.05)

    @parameterized.product(
        layer=[keras.layers.LSTM, keras.layers.GRU],
        dtype=["mixed_float16", "mixed_bfloat16"],
        mode=["float32", "int8"],
    )
    def test_loops_in_half_precision(self, layer, dtype, mode):
        """They are functions of the graph, of which TensorFlow knows some."""
        model = recurrent(layer, dtype)
        x = RNG.normal(size=(30, 4, 3)).astype("float32")
        file = self.exported(model, mode, None if mode == "float32" else x)
        wanted = np.asarray(model(x)).astype("float32")
        found = interpreter.run(file.path, x)
        np.testing.assert_allclose(found, wanted, atol=0.06)

    @parameterized.parameters(
        ("uint8", "uint8"),
        ("uint16", "int32"),
        ("int64", "int32"),
        ("int32", "int32"),
    )
    def test_integers_that_become_numbers(self, dtype, stored):
        model = scaled(dtype)
        x = RNG.integers(0, 250, (30, 4)).astype(dtype)
        file = self.exported(model, "int8", x)
        self.assertEqual(file.inputs[0].dtype, stored)
        wanted = np.asarray(model(x))
        for runtime in ("micro", "reference"):
            found = interpreter.run(file.path, x, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.06)

    @parameterized.parameters("uint8", "uint16", "int64")
    def test_integers_that_select(self, dtype):
        model = looked_up(dtype)
        x = RNG.integers(0, 9, (30, 4)).astype(dtype)
        file = self.exported(model, "int8", x)
        self.assertEqual(file.inputs[0].dtype, "int32")
        wanted = np.asarray(model(x))
        for runtime in ("micro", "reference"):
            found = interpreter.run(file.path, x, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.002)

    @parameterized.product(
        dtype=["uint8", "uint16", "uint32", "int64", "int32"],
        build=[scaled, looked_up],
    )
    def test_integers_in_float_files_for_microcontrollers(self, dtype, build):
        model = build(dtype)
        x = RNG.integers(0, 9, (4, 4)).astype(dtype)
        file = self.exported(model, "float32", runtime="micro")
        kept = dtype == "uint8" and build is scaled
        self.assertEqual(file.inputs[0].dtype, dtype if kept else "int32")
        found = interpreter.run(file.path, x, "micro")
        np.testing.assert_allclose(found, np.asarray(model(x)), atol=1e-6)

    def test_integers_in_float_files_for_phones_stay(self):
        file = self.exported(looked_up("int64"), "float32")
        self.assertEqual(file.inputs[0].dtype, "int64")

    @parameterized.parameters("float32", "int8")
    def test_the_place_of_the_largest(self, mode):
        inputs = keras.Input((5,))
        y = keras.layers.Dense(4, name="scores")(inputs)
        model = keras.Model(inputs, [y, keras.ops.argmax(y, -1)])
        x = RNG.normal(size=(30, 5)).astype("float32")
        file = self.exported(model, mode, None if mode == "float32" else x)
        scores, place = interpreter.run(file.path, x, "micro")
        np.testing.assert_array_equal(place, scores.argmax(-1))
        np.testing.assert_allclose(scores, np.asarray(model(x)[0]), atol=0.1)

    @parameterized.product(axis=[1, 2], mode=["int8", "int16x8"])
    def test_the_largest_by_its_place(self, axis, mode):
        """Keras adds to int64 what was int32, and that before its other."""
        inputs = keras.Input((3, 5))
        y = keras.layers.Dense(4)(inputs)
        place = keras.ops.argmax(y, axis, keepdims=True)
        outputs = keras.ops.take_along_axis(y, place, axis)
        model = keras.Model(inputs, outputs)
        x = RNG.normal(size=(30, 3, 5)).astype("float32")
        file = self.exported(model, mode, x)
        found = interpreter.run(file.path, x, "micro")
        np.testing.assert_allclose(found, np.asarray(model(x)), atol=0.1)

    def test_bytes_at_both_ends(self):
        model = small("float32")
        x = RNG.normal(size=(30, 6, 6, 2)).astype("float32")
        file = self.exported(model, "int8", x, interface="uint8")
        self.assertEqual(file.inputs[0].dtype, "uint8")
        self.assertEqual(file.outputs[0].dtype, "uint8")
        for runtime in ("micro", "reference"):
            found = interpreter.run(file.path, x, runtime)
            np.testing.assert_allclose(found, np.asarray(model(x)), atol=0.05)
