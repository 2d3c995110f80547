import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models


class RowsOfChannelsTest(parameterized.TestCase):
    @parameterized.product(
        options=[
            {"strides": 2, "activation": "relu"},
            {"padding": "same", "use_bias": False},
        ],
        mode=["float32", "int8"],
    )
    def test_the_file_computes_what_the_model_does(self, options, mode):
        inputs = keras.Input((3, 12))
        layer = keras.layers.Conv1D(
            6, 3, data_format="channels_first", **options
        )
        model = keras.Model(inputs, layer(inputs))
        x = np.random.default_rng(0).normal(size=(30, 3, 12)).astype("f")
        path = pathlib.Path(self.create_tempdir().full_path, "rows.tflite")
        given = None if mode == "float32" else x
        small_models.export(model, path, mode, given)
        found = interpreter.run(path, x, "micro")
        atol = 1e-5 if mode == "float32" else 0.1
        np.testing.assert_allclose(found, np.asarray(model(x)), atol=atol)
