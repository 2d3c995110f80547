import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models

OPS = keras.ops


def drawn(*shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


class SummedLettersTest(parameterized.TestCase):
    @parameterized.product(
        # Of one operand, of some, and of two at once.
        product=[
            lambda x: OPS.einsum("btc->bc", x),
            lambda x: OPS.einsum("...c->...", x),
            lambda x: OPS.einsum("btc->b", x),
            lambda x: OPS.einsum("btc,c->b", x, drawn(4)),
            lambda x: OPS.einsum("btc,td->bd", x, drawn(6, 3)),
            lambda x: OPS.einsum("btc,bsd->bcd", x, OPS.tanh(x)),
        ],
        mode=["float32", "int8", "int16x8"],
    )
    def test_the_file_computes_what_the_model_does(self, product, mode):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6, 5))
        x = product(keras.layers.Dense(4)(inputs))
        model = keras.Model(inputs, x)
        x = np.random.default_rng(0).normal(size=(50, 6, 5)).astype("float32")
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        given = None if mode == "float32" else x
        small_models.export(model, path, mode, given)
        wanted = np.asarray(model(x))
        for runtime in ("tflite", "micro"):
            found = interpreter.run(path, x, runtime)
            error = np.abs(found - wanted).max() / wanted.std()
            self.assertLess(error, 1e-4 if mode == "float32" else 0.2)


if __name__ == "__main__":
    absltest.main()
