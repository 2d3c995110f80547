import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS = keras.layers


def square():
    inputs = keras.Input((2, 2, 3))
    return keras.Model(inputs, LAYERS.Conv2D(4, 2, padding="same")(inputs))


def steps():
    inputs = keras.Input((2, 3))
    return keras.Model(inputs, LAYERS.Conv1D(4, 2, padding="same")(inputs))


def uneven():
    """Strides that leave two pixels along one axis alone."""
    inputs = keras.Input((2, 2, 3))
    convolution = LAYERS.Conv2D(4, 2, strides=(2, 1), padding="same")
    return keras.Model(inputs, convolution(inputs))


def oblong():
    inputs = keras.Input((3, 2, 3))
    convolution = LAYERS.Conv2D(4, (3, 2), strides=(3, 1), padding="same")
    return keras.Model(inputs, convolution(inputs))


def larger():
    inputs = keras.Input((3, 3, 3))
    return keras.Model(inputs, LAYERS.Conv2D(4, 2, padding="same")(inputs))


class RewriteTest(parameterized.TestCase):
    def exported(self, model, mode="int8"):
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        data = small_models.samples(model, 30)
        small_models.export(model, path, mode, data)
        return path, data

    @parameterized.product(
        build=(square, steps, uneven, oblong), mode=("int8", "int16x8")
    )
    def test_outputs_are_those_of_the_model(self, build, mode):
        model = build()
        path, data = self.exported(model, mode)
        (wanted,) = small_models.predictions(model, data)
        found = interpreter.run(path, data, "micro")
        np.testing.assert_allclose(found, wanted, atol=0.04 * np.ptp(wanted))

    def test_the_same_file_each_time(self):
        model = square()
        first, _ = self.exported(model)
        second, _ = self.exported(model)
        self.assertEqual(first.read_bytes(), second.read_bytes())

    @parameterized.parameters(
        (square, 1), (steps, 1), (uneven, 1), (oblong, 1), (larger, 0)
    )
    def test_others_have_no_padding_of_their_own(self, build, count):
        path, _ = self.exported(build())
        self.assertEqual(model_file.read(path).ops.get("PADV2", 0), count)
