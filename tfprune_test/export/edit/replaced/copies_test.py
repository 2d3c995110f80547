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

    @parameterized.product(
        function=(OPS.minimum, OPS.maximum), mode=("int8", "int16x8")
    )
    def test_two_ops_share_a_limit_far_away(self, function, mode):
        far = 1e6 if function is OPS.minimum else -1e6
        inputs = [keras.Input((10,)), keras.Input((10,))]
        outputs = [
            function(keras.layers.Dense(3)(tensor), far) for tensor in inputs
        ]
        model = keras.Model(inputs, outputs)
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        x = np.random.default_rng(0).normal(size=(2, 100, 10)).astype("float32")
        x = [x[0], 3 * x[1]]
        file = small_models.export(model, path, mode, x)
        self.assertNotIn("QUANTIZE", file.ops)
        wanted = small_models.predictions(model, x)
        for runtime in ("tflite", "reference", "micro"):
            found = interpreter.run(path, x, runtime)
            for one, other in zip(found, wanted, strict=True):
                off = np.abs(one - other)
                self.assertLess(off.max(), 0.1 * other.std())


if __name__ == "__main__":
    absltest.main()
