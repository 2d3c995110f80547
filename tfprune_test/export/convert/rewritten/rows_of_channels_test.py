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
            {"dilation_rate": 2, "padding": "same", "use_bias": False},
            {"dilation_rate": 3, "activation": "tanh"},
            {"dilation_rate": 2, "kernel_size": 4, "padding": "same"},
            {"groups": 3},
            {"groups": 2},
        ],
        mode=["float32", "int8"],
    )
    def test_the_file_computes_what_the_model_does(self, options, mode):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6, 12))
        options = {"kernel_size": 3, "data_format": "channels_first"} | options
        layer = keras.layers.Conv1D(6, **options)
        model = keras.Model(inputs, layer(inputs))
        x = np.random.default_rng(0).normal(size=(30, 6, 12)).astype("f")
        path = pathlib.Path(self.create_tempdir().full_path, "rows.tflite")
        given = None if mode == "float32" else x
        small_models.export(model, path, mode, given)
        found = interpreter.run(path, x, "micro")
        atol = 1e-5 if mode == "float32" else 0.1
        np.testing.assert_allclose(found, np.asarray(model(x)), atol=atol)
