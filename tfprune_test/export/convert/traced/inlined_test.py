import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models


class Traced(keras.layers.Layer):
    """A layer that calls a `tf.function`."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def build(self, shape):
        import tensorflow as tf

        self.function = tf.function(self.body)

    def call(self, x):
        return self.function(x)


def summed(x):
    return keras.ops.sum(x, 1)


def branched(x):
    # Python alone cannot branch by a tensor.
    if keras.ops.max(x) > -100:
        return keras.ops.sum(x, 1)
    return keras.ops.max(x, 1)


class InlinedTest(parameterized.TestCase):
    @parameterized.parameters(
        (summed, "float32"), (summed, "int16x8"), (branched, "float32")
    )
    def test_the_file_computes_what_the_model_does(self, body, mode):
        import tensorflow as tf

        keras.utils.set_random_seed(0)
        inputs = keras.Input((12, 6))
        x = Traced(body)(keras.layers.Dense(4)(inputs))
        model = keras.Model(inputs, x)
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        x = np.random.default_rng(0).normal(size=(50, 12, 6)).astype("float32")
        given = None if mode == "float32" else x
        small_models.export(model, path, mode, given)
        self.assertFalse(tf.config.functions_run_eagerly())
        wanted = np.asarray(model(x))
        error = np.abs(interpreter.run(path, x) - wanted).max()
        self.assertLess(error, (1e-5 if given is None else 0.1) * wanted.std())


if __name__ == "__main__":
    absltest.main()
