import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS, OPS = keras.layers, keras.ops


def dense(x):
    return LAYERS.Dense(4)(x)


def below_the_mean(x):
    x = dense(x)
    mean = OPS.mean(LAYERS.ReLU()(x), 1, keepdims=True)
    # Keras has two ReLUs, the converter one.
    return OPS.minimum(LAYERS.ReLU()(x), mean)


def beside(function):
    """A function of a tensor that is read twice."""

    def both(x):
        x = dense(x)
        return function(x) + x

    return both


SHARED = {
    "clip": beside(lambda x: OPS.clip(x, -0.5, 0.5)),
    "minimum": beside(lambda x: OPS.minimum(x, 0.5) * 2),
    "maximum": beside(lambda x: OPS.maximum(x, -0.25) * -1),
    "far minimum": beside(lambda x: OPS.minimum(x, 200.0) * 2),
    "far maximum": beside(lambda x: OPS.maximum(x, -200.0) * -0.5),
    "of two": beside(lambda x: OPS.minimum(OPS.flip(x, 1) * 0.2, x)),
    "of a part": beside(lambda x: OPS.maximum(x[..., :1], x[:, ::-1]) * -1),
    "of the largest": beside(
        lambda x: OPS.minimum(OPS.max(x, 1, keepdims=True), 0.1)
    ),
    "of means": lambda x: OPS.minimum(
        LAYERS.AveragePooling1D(4)(dense(x)), -0.25
    ),
    "constant first": beside(lambda x: OPS.maximum(-0.25, x) * -1),
    "below the mean": below_the_mean,
    "one after the other": lambda x: beside(lambda x: OPS.minimum(x, 1.0))(
        beside(lambda x: OPS.maximum(x, -0.25) * -1)(x)
    ),
}


class OwnScalesTest(parameterized.TestCase):
    def exported(self, function, mode):
        """Exports, compares outputs, and returns the ops of the file."""
        keras.utils.set_random_seed(0)
        inputs = keras.Input((12, 6))
        model = keras.Model(inputs, function(inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        x = np.random.default_rng(0).normal(size=(100, 12, 6)).astype("float32")
        small_models.export(model, path, mode, x)
        wanted = small_models.predictions(model, [x])[0]
        found = interpreter.run(path, x, "micro")
        self.assertLess(np.abs(found - wanted).max(), 0.2 * wanted.std())
        return model_file.read(path).ops

    @parameterized.product(name=sorted(SHARED), mode=("int8", "int16x8"))
    def test_what_other_ops_read_is_not_clipped(self, name, mode):
        self.exported(SHARED[name], mode)

    def test_an_output_is_read_too(self):
        inputs = keras.Input((12, 6))
        x = dense(inputs)
        model = keras.Model(inputs, [x, OPS.minimum(x, 0.1)])
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        x = np.random.default_rng(0).normal(size=(50, 12, 6)).astype("float32")
        small_models.export(model, path, "int8", x)
        found = interpreter.run(path, x, "micro")
        wanted = small_models.predictions(model, [x])
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, atol=0.1)

    def test_what_nothing_else_reads_stays(self):
        ops = self.exported(
            lambda x: LAYERS.Maximum()([dense(x), dense(x)]), "int8"
        )
        self.assertEqual(ops, {"FULLY_CONNECTED": 2, "MAXIMUM": 1})

    def test_conditions_are_no_values(self):
        def function(x):
            is_chosen = x[..., :4] > -9
            chosen = OPS.where(is_chosen, dense(x), dense(x))
            found = OPS.maximum(chosen, dense(x))
            return found + OPS.cast(is_chosen, "float32")

        self.assertEqual(self.exported(function, "int8")["MAXIMUM"], 1)

    @parameterized.parameters(True, False)
    def test_sums(self, all_of_it):
        def function(x):
            x = LAYERS.ReLU()(dense(x))
            axes = (1, 2) if all_of_it else 1
            return OPS.sum(x, axes, keepdims=all_of_it)

        self.exported(function, "int16x8")


if __name__ == "__main__":
    absltest.main()
