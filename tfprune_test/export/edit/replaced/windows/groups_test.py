import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune_test.export import small_models


class GroupsTest(parameterized.TestCase):
    def exported(self, mode, count, bias=True, filters=2):
        inputs = keras.Input((6, 6, 3 * count))
        layer = keras.layers.Conv2D(
            filters * count,
            3,
            groups=count,
            padding="same",
            activation="relu",
            use_bias=bias,
            bias_initializer="random_normal",
        )
        model = keras.Model(inputs, layer(inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        x = small_models.samples(model)
        small_models.export(model, path, mode, x)
        wanted = small_models.predictions(model, x)[0]
        for runtime in ("tflite", "reference", "micro"):
            found = interpreter.run(path, x, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.06)
        return model_file.read(path).ops

    @parameterized.product(count=(2, 5, 12), bias=(True, False))
    def test_int16_is_taken_apart(self, count, bias):
        ops = self.exported("int16x8", count, bias)
        self.assertEqual(ops["CONV_2D"], count)

    def test_one_group_remains(self):
        ops = self.exported("int16x8", 1)
        self.assertEqual(ops, {"CONV_2D": 1})

    def test_int8_remains(self):
        self.assertEqual(self.exported("int8", 3), {"CONV_2D": 1})


if __name__ == "__main__":
    absltest.main()
