import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models

OPS = keras.ops


def ahead(x):
    """The difference overwrites the flipped tensor in place."""
    return OPS.relu(OPS.flip(x, 1) - x) + x


def larger(x):
    return OPS.maximum(x, OPS.flip(x, 1))


class CopiesTest(parameterized.TestCase):
    @parameterized.product(
        function=(ahead, larger),
        shape=((12, 6), (4, 5, 6), (3, 4, 2, 5)),
        mode=("int8", "int16x8"),
    )
    def test_a_flip_that_the_next_op_overwrites(self, function, shape, mode):
        inputs = keras.Input(shape)
        model = keras.Model(inputs, function(inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        x = np.random.default_rng(0).normal(size=(100, *shape))
        x = x.astype("float32")
        small_models.export(model, path, mode, x)
        wanted = small_models.predictions(model, [x])[0]
        for runtime in ("tflite", "reference", "micro"):
            off = np.abs(interpreter.run(path, x, runtime) - wanted)
            self.assertLess(off.max(), 0.15 * wanted.std())


if __name__ == "__main__":
    absltest.main()
