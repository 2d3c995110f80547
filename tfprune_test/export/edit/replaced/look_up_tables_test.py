import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.edit.replaced import look_up_tables
from tfprune.export.file import model_file
from tfprune.export.file import packing
from tfprune.export.run import interpreter
from tfprune_test.export import hand_made
from tfprune_test.export import small_models


def shifted(x):
    """Ops that end in other tensors, too."""
    return keras.ops.sqrt(keras.ops.abs(x) + 0.5) - keras.ops.exp(-x)


def limited(x):
    """Keras asks which of both are numbers, and a constant is one."""
    return keras.ops.fmin(keras.ops.fmax(x, -1.25), 2.5)


class LookUpTablesTest(parameterized.TestCase):
    @parameterized.parameters(
        "gelu",
        "selu",
        "softplus",
        "mish",
        "exponential",
        "celu",
        "log_sigmoid",
        "soft_shrink",
        "squareplus",
        "elu",
        shifted,
        limited,
    )
    def test_activations_are_exact_to_rounding(self, activation):
        function = keras.activations.get(activation)
        inputs = keras.Input((4, 4, 6))
        x = keras.layers.Activation(function, name="odd")(inputs)
        model = keras.Model(inputs, x)
        rng = np.random.default_rng(0)
        images = rng.uniform(-4, 4, (100, 4, 4, 6)).astype("float32")
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        file = small_models.export(model, path, "int8", images)
        source, target = file.inputs[0], file.outputs[0]
        # What is computed is a function of what is stored.
        stored = source.decode(source.encode(images))
        wanted = target.encode(np.asarray(function(stored)))
        self.assertNotIn("DEQUANTIZE", file.ops)
        for runtime in ("micro", "reference"):
            got = target.encode(interpreter.run(path, images, runtime))
            off = np.abs(got.astype(int) - wanted)
            self.assertLessEqual(off.max(), 1, runtime)
            # Ties, which float32 decides by chance.
            self.assertLess(np.mean(off), 0.01, runtime)

    @parameterized.parameters(3, 5, 10)
    def test_choices_compare_what_is_stored(self, largest):
        """As rounded to the steps of the tensor, of integers or of signs."""
        inputs = keras.Input((8,))
        x = keras.ops.where(inputs >= 2.0, inputs, -inputs)
        sign = keras.ops.equal(keras.ops.sign(inputs - 0.5), 1.0)
        y = keras.ops.where(sign, inputs, inputs + 2.0)
        model = keras.Model(inputs, [x, y])
        data = np.random.default_rng(0).integers(0, largest + 1, (50, 8))
        data = data.astype("float32")
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        small_models.export(model, path, "int8", data)
        wanted = small_models.predictions(model, [data])
        found = interpreter.run(path, data, "micro")
        for got, exact in zip(found, wanted, strict=True):
            np.testing.assert_allclose(got, exact, atol=0.05)

    @parameterized.parameters(2, 7, 10, 17)
    def test_whole_numbers_stay_what_they_are(self, largest):
        """A number is stored as a little more or less than it is."""
        inputs = keras.Input((8,))
        outputs = [
            keras.ops.floor(inputs),
            keras.ops.ceil(inputs),
            keras.ops.round(inputs),
        ]
        model = keras.Model(inputs, outputs)
        data = np.random.default_rng(0).integers(0, largest + 1, (50, 8))
        data = data.astype("float32")
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        small_models.export(model, path, "int8", data)
        for found in interpreter.run(path, data, "micro"):
            np.testing.assert_allclose(found, data, atol=0.04)

    def test_halves_are_cut_where_they_are(self):
        inputs = keras.Input((8,))
        outputs = [
            function(inputs * 0.5)
            for function in (keras.ops.floor, keras.ops.round)
        ]
        model = keras.Model(inputs, outputs)
        data = np.arange(256, dtype="float32").reshape(32, 8)
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        small_models.export(model, path, "int8", data)
        wanted = small_models.predictions(model, [data])
        found = interpreter.run(path, data, "micro")
        for got, exact in zip(found, wanted, strict=True):
            np.testing.assert_allclose(got, exact, atol=0.3)

    @parameterized.parameters(
        (np.arange(-20, 20) / 4, (1.5, -0.75), 0.05),
        # Jumps lie between numbers that are stored as they are.
        (np.arange(256), (2.5, -7.5), 0.25),
    )
    def test_quotients_jump_where_they_are_whole(self, data, divisors, atol):
        inputs = keras.Input((8,))
        outputs = [
            function(inputs, divisor)
            for function in (keras.ops.mod, keras.ops.floor_divide)
            for divisor in divisors
        ]
        model = keras.Model(inputs, outputs)
        data = data.astype("float32").reshape(-1, 8)
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        file = small_models.export(model, path, "int8", data)
        self.assertNotIn("DEQUANTIZE", file.ops)
        wanted = small_models.predictions(model, [data])
        for runtime in ("micro", "reference"):
            found = interpreter.run(path, data, runtime)
            for got, exact in zip(found, wanted, strict=True):
                np.testing.assert_allclose(got, exact, atol=atol)

    def test_a_constant_by_a_tensor_is_computed(self):
        inputs = keras.Input((8,))
        model = keras.Model(inputs, keras.ops.mod(2.0, inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        data = np.random.default_rng(0).uniform(1.1, 1.9, (50, 8))
        file = small_models.export(model, path, "int8", data.astype("f"))
        self.assertIn("FLOOR_MOD", file.ops)
        for runtime in ("micro", "reference"):
            found = interpreter.run(path, data, runtime)
            np.testing.assert_allclose(found, 2.0 - data, atol=0.02)

    @parameterized.product(after=(None, "relu"), largest=(0.2, 5.0))
    def test_hard_swish_of_what_is_far_below_zero(self, after, largest):
        inputs = keras.Input((8,))
        x = keras.ops.hard_silu(inputs)
        x = keras.layers.Activation(after)(x) if after else x
        model = keras.Model(inputs, x)
        data = np.random.default_rng(0).uniform(-4, 1, (50, 8))
        data = np.where(data > 0, largest * data, 50 * data).astype("float32")
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        file = small_models.export(model, path, "int8", data)
        (wanted,) = small_models.predictions(
            model, [file.inputs[0].decode(file.inputs[0].encode(data))]
        )
        step = file.outputs[0].scale
        for runtime in ("micro", "tflite"):
            found = interpreter.run(path, data, runtime)
            np.testing.assert_allclose(found, wanted, atol=2 * step)

    def test_functions_that_the_runtime_has_stay(self):
        inputs = keras.Input((8,))
        x = keras.layers.Dense(8, activation="swish")(inputs)
        x = keras.layers.Dense(8, activation="tanh")(x)
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        model = keras.Model(inputs, x)
        file = small_models.export(
            model, path, "int8", small_models.samples(model)
        )
        self.assertNotIn("GATHER", file.ops)
        self.assertIn("LOGISTIC", file.ops)

    def test_a_zero_point_that_is_left_out_is_0(self):
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1, 4), "int8", ([0.5], None))
        y = sketch.tensor("y", (1, 4), "int8", ([16.0], None))
        sketch.op("SQUARE", [x], [y])
        model = packing.unpacked(sketch.data([x], [y]))
        look_up_tables.tabulate(model)
        table = next(
            buffer.data
            for buffer in model.buffers
            if buffer.data is not None and len(buffer.data) == 256
        )
        # (0.5 * 40) ** 2 = 25 * 16; 156 * 16 is beyond the range.
        table = np.asarray(table).view("i1")
        self.assertEqual(table[128 + 40], 25)
        self.assertEqual(table[128 - 40], 25)
        self.assertEqual(table[128 + 100], 127)

    def test_float_files_stay_as_they_are(self):
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        small_models.export(small_models.gelu(), path)
        self.assertIn("GELU", model_file.read(path).ops)
