import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models


class SteepOpsTest(parameterized.TestCase):
    @parameterized.parameters("softplus", "selu", "mish", "log_sigmoid")
    def test_int16_resolves_them(self, name):
        inputs = keras.Input((16,))
        outputs = keras.layers.Activation(name)(inputs)
        model = keras.Model(inputs, outputs)
        x = np.random.default_rng(0).normal(size=(50, 16)) * 3
        x = x.astype("float32")
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        small_models.export(model, path, "int16x8", x)
        found = interpreter.run(path, x, "micro")
        wanted = np.asarray(model(x))
        # exp(x) would reach 20,000: a step of 0.7.
        np.testing.assert_allclose(found, wanted, atol=0.01)


if __name__ == "__main__":
    absltest.main()
