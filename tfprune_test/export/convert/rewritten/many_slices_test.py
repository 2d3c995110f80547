import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models

SHAPE = 4, 2, 2, 3
X = np.random.default_rng(0).normal(size=(20, *SHAPE)).astype("float32")


class ManySlicesTest(parameterized.TestCase):
    @parameterized.product(
        function=[
            lambda x: x[:, None, 1:],
            lambda x: x[:, 1:3, None, ::-1, 0],
            lambda x: x[:, None, -1::-2, ..., -2:],
            lambda x: x[:, None, :2, None, 0],
            lambda x: x[..., None],
            lambda x: keras.ops.reshape(x, (-1, 2, 2, 2, 2, 3))[:, 1:, :, 0],
        ],
        mode=["float32", "int8", "int16x8"],
    )
    def test_outputs_are_those_of_the_model(self, function, mode):
        inputs = keras.Input(SHAPE)
        model = keras.Model(inputs, 2 * function(inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        calibration = [] if mode == "float32" else [X]
        small_models.export(model, path, mode, *calibration)
        (wanted,) = small_models.predictions(model, [X])
        found = interpreter.run(path, X, "micro")
        np.testing.assert_allclose(found, wanted, atol=0.06)


if __name__ == "__main__":
    absltest.main()
