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


if __name__ == "__main__":
    absltest.main()
