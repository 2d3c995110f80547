"""Ops that TFLite lacks, on the runtimes."""

import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models

RNG = np.random.default_rng(0)


class CountsTest(parameterized.TestCase):
    @parameterized.product(
        mode=["multi_hot", "count"], kind=["int32", "float32"]
    )
    def test_categories_are_counted(self, mode, kind):
        inputs = keras.Input((5,), dtype=kind)
        encode = keras.layers.CategoryEncoding(6, output_mode=mode)
        x = RNG.integers(0, 6, (40, 5)).astype(kind)
        for quantize, runtime in (("float32", "tflite"), ("int8", "micro")):
            path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
            file = small_models.export(
                keras.Model(inputs, encode(inputs)),
                path,
                quantize,
                x if quantize == "int8" else None,
            )
            found = interpreter.run(file.path, x, runtime)
            wanted = np.stack([np.bincount(np.int32(r), None, 6) for r in x])
            if mode == "multi_hot":
                wanted = np.minimum(wanted, 1)
            np.testing.assert_allclose(found, wanted, atol=0.02)


class DilationsTest(parameterized.TestCase):
    @parameterized.product(
        padding=["causal", "same", "valid"], mode=["int8", "int16x8"]
    )
    def test_of_one_tensor(self, padding, mode):
        inputs = keras.Input((16, 5))
        parts = [
            keras.layers.Conv1D(
                4, 3, padding=padding, dilation_rate=2, activation=activation
            )(inputs)
            for activation in ("tanh", "sigmoid")
        ]
        model = keras.Model(inputs, keras.layers.Multiply()(parts))
        x = RNG.normal(size=(50, 16, 5)).astype("float32")
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        file = small_models.export(model, path, mode, x)
        self.assertEqual(file.ops["CONV_2D"], 2)
        self.assertNotIn("SPACE_TO_BATCH_ND", file.ops)
        wanted = small_models.predictions(model, [x])[0]
        found = interpreter.run(path, x, "micro")
        np.testing.assert_allclose(found, wanted, atol=0.05)


if __name__ == "__main__":
    parameterized.absltest.main()
