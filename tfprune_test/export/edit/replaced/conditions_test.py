import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models

OPS = keras.ops


def choose_integers(x):
    return OPS.where(x < 0, x * 3, OPS.flip(x, 1))


def choose_one_integer(x):
    return OPS.where(x[:, :1] < 0, x, 7)


class ConditionTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")

    @parameterized.parameters(choose_integers, choose_one_integer)
    def test_integers(self, function):
        inputs = keras.Input((4,), dtype="int32")
        model = keras.Model(inputs, function(inputs))
        small_models.export(model, self.path)
        x = np.random.default_rng(0).integers(-9, 9, (30, 4)).astype("int32")
        wanted = small_models.predictions(model, [x])[0]
        for runtime in ("tflite", "reference", "micro"):
            found = interpreter.run(self.path, x, runtime)
            np.testing.assert_array_equal(found, wanted)

    @parameterized.parameters((-1, 4), (1, 4), (-1, 2))
    def test_one_hot(self, axis, depth):
        inputs = keras.Input((3,), dtype="int32")
        hot = OPS.one_hot(inputs, depth, axis=axis)
        model = keras.Model(inputs, keras.layers.Flatten()(hot) * 2.0)
        # The last two of four have no place of their own in two.
        x = np.random.default_rng(0).integers(0, 4, (30, 3)).astype("int32")
        small_models.export(model, self.path, "int8", x)
        wanted = small_models.predictions(model, [x])[0]
        for runtime in ("tflite", "reference", "micro"):
            found = interpreter.run(self.path, x, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.02)
