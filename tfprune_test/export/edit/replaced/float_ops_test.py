import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models

OPS = keras.ops


class FloatOpsTest(parameterized.TestCase):
    def check(self, function, x):
        """Exports a float file for TFLite Micro, and compares its outputs.

        Returns:
            The ops of the file.
        """
        inputs = keras.Input(x.shape[1:])
        model = keras.Model(inputs, function(inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        file = small_models.export(model, path, "float32", runtime="micro")
        wanted = small_models.predictions(model, [x])[0]
        found = interpreter.run(path, x, "micro")
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
        return file.ops

    @parameterized.product(
        function=[
            lambda x: OPS.floor(x * 0.5),
            lambda x: OPS.ceil(x * 0.25),
            lambda x: OPS.floor_divide(x * 1.0, 3.0),
            lambda x: OPS.mod(x, 4.0),
            lambda x: 0.5 * OPS.cast(OPS.cast(x * -0.5, "int32"), "float32"),
        ],
        mode=["int8", "int16x8"],
    )
    def test_jumps_at_whole_numbers(self, function, mode):
        """They are stored as a little less or more than they are."""
        inputs = keras.Input((8,))
        model = keras.Model(inputs, function(inputs))
        data = np.random.default_rng(0).integers(0, 24, (50, 8))
        data = data.astype("float32")
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        small_models.export(model, path, mode, data)
        (wanted,) = small_models.predictions(model, [data])
        found = interpreter.run(path, data, "micro")
        np.testing.assert_allclose(found, wanted, atol=0.1)

    def test_divisors_between_whole_numbers_of_few_steps(self):
        """Of steps of 1, 2 is not 2.3."""
        inputs = keras.Input((8,))
        model = keras.Model(inputs, OPS.floor_divide(inputs, 2.3))
        data = np.arange(256, dtype="float32").reshape(32, 8)
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        small_models.export(model, path, "int8", data)
        found = interpreter.run(path, data, "micro")
        np.testing.assert_allclose(found, data // 2.3, atol=0.3)

    def test_signs(self):
        x = np.array([[-2e9, -1, -1e-37, 0, 1e-20, 3]], "float32")
        self.check(OPS.sign, x)

    def test_the_sign_of_infinity(self):
        x = np.array([[0, 0.5, 2]], "float32")
        self.check(lambda x: OPS.sign(OPS.log(x)), x)

    @parameterized.parameters(-5.0, -4.0, 3.0, 4.0, 7.0, 16.0)
    def test_whole_powers(self, exponent):
        x = np.array([[-1.5, -1, -0.3, 0.4, 1, 1.2]], "float32")
        ops = self.check(lambda x: OPS.power(x, exponent), x)
        self.assertLessEqual(set(ops), {"MUL", "DIV"})

    @parameterized.parameters(0.7, 2.5, 20.5)
    def test_other_powers(self, exponent):
        x = np.array([[0, 1e-3, 0.4, 1, 1.2, 1.7]], "float32")
        self.check(lambda x: OPS.power(x, exponent), x)

    def test_a_power_for_each_channel(self):
        x = np.random.default_rng(0).uniform(0, 2, (9, 4, 3)).astype("float32")
        powers = np.array([0.5, 1.5, 2.7], "float32")
        self.check(lambda x: OPS.power(x, powers), x)

    @parameterized.parameters(0.3, 2.0, 10.0)
    def test_powers_of_a_number(self, base):
        x = np.array([[-3, -0.5, 0, 1, 1.7]], "float32")
        self.check(lambda x: OPS.power(base, x), x)

    @parameterized.parameters(True, False)
    def test_gelu(self, approximate):
        x = np.linspace(-9, 9, 60, dtype="float32").reshape(1, 4, 15)
        ops = self.check(lambda x: OPS.gelu(x, approximate), x)
        self.assertNotIn("GELU", ops)


QUOTIENTS = {
    "of two": lambda a, b: a / (OPS.abs(b) + 0.5),
    "negative divisor": lambda a, b: a / (-0.5 - OPS.abs(b)),
    "of a number": lambda a, b: -0.7 / (OPS.abs(a * b) + 0.5),
    "by a number": lambda a, b: a * b / 3.0,
    "of a unit": lambda a, b: keras.layers.UnitNormalization()(a - b),
    "broadcast": lambda a, b: a / (OPS.mean(OPS.abs(b), -1, True) + 0.2),
    "relu": lambda a, b: OPS.relu(a / (OPS.abs(b) + 0.5)),
}


class Int8Test(parameterized.TestCase):
    @parameterized.parameters(*QUOTIENTS)
    def test_quotients(self, name):
        inputs = [keras.Input((8, 6)), keras.Input((8, 6))]
        model = keras.Model(inputs, QUOTIENTS[name](*inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        x = list(
            np.random.default_rng(0)
            .uniform(-1, 1, (2, 100, 8, 6))
            .astype("float32")
        )
        small_models.export(model, path, "int8", x)
        wanted = small_models.predictions(model, x)[0]
        for runtime in ("tflite", "micro"):
            found = interpreter.run(path, x, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.06)

    @parameterized.parameters("tflite", "micro")
    def test_a_divisor_of_nearly_nothing(self, runtime):
        """Kernels of int8 stop at 0, or divide by it."""
        inputs = [keras.Input((6,)), keras.Input((6,))]
        model = keras.Model(inputs, OPS.divide(*inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        a = np.tile(np.array([[-2, -1, -0.5, 0.5, 1, 2]], "float32"), (9, 1))
        b = np.linspace(0.5, 4, 54, dtype="float32").reshape(9, 6)
        small_models.export(model, path, "int8", [a, b])
        (found,) = interpreter.run(path, [a[:1], b[:1] * 0 + 1e-4], runtime)
        self.assertTrue((found[:3] < -3.5).all() and (found[3:] > 2).all())

    @parameterized.product(
        quantize=("int8", "int16x8"), keep=(OPS.add, OPS.maximum)
    )
    def test_nothing_by_nearly_nothing(self, quantize, keep):
        inputs = keras.Input((6, 4))
        kept = OPS.cast(inputs > 0, "float32")
        count = keep(OPS.sum(kept, -1, keepdims=True), 1e-6)
        mean = OPS.sum(inputs * kept, -1, keepdims=True) / count
        model = keras.Model(inputs, mean)
        x = np.random.default_rng(0).normal(size=(50, 6, 4)).astype("float32")
        x[:, 1] = -np.abs(x[:, 1])
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        small_models.export(model, path, quantize, x)
        for runtime in ("tflite", "micro"):
            found = interpreter.run(path, x, runtime)
            np.testing.assert_allclose(found[:, 1], 0, atol=0.01)

    def test_a_power_whose_base_is_a_factor_too(self):
        inputs = keras.Input((6,))
        outputs = OPS.power(2.0, OPS.relu(inputs)), 2.0 * OPS.relu(inputs)
        outputs = [*outputs, OPS.one_hot(OPS.argmax(inputs, -1), 6) * 2.0]
        model = keras.Model(inputs, outputs)
        x = np.random.default_rng(0).normal(size=(50, 6)).astype("float32")
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        small_models.export(model, path, "int16x8", x, runtime="micro")
        found = interpreter.run(path, x, "micro")[0]
        np.testing.assert_allclose(found, 2 ** np.maximum(x, 0), atol=0.01)


if __name__ == "__main__":
    absltest.main()
