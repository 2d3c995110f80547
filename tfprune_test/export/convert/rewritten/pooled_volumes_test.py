import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS = keras.layers


def pooled(layer, shape=(5, 6, 7, 2)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


class RewriteTest(parameterized.TestCase):
    def exported(self, model, mode):
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        data = small_models.samples(model, 20)
        calibration = [] if mode == "float32" else [data]
        small_models.export(model, path, mode, *calibration)
        return path, data

    @parameterized.product(
        kind=("MaxPooling3D", "AveragePooling3D"),
        mode=("float32", "int8"),
        kwargs=(
            {"pool_size": 2},
            {"pool_size": (3, 1, 2), "strides": (2, 1, 3), "padding": "same"},
        ),
    )
    def test_outputs_are_those_of_the_model(self, kind, mode, kwargs):
        model = pooled(getattr(LAYERS, kind)(**kwargs))
        path, data = self.exported(model, mode)
        (wanted,) = small_models.predictions(model, data)
        share = 0.02 if mode == "int8" else 1e-6
        for runtime in ("tflite", "micro"):
            np.testing.assert_allclose(
                interpreter.run(path, data, runtime),
                wanted,
                atol=share * np.ptp(data),
            )

    def test_an_axis_that_stays_has_no_op(self):
        path, _ = self.exported(pooled(LAYERS.MaxPooling3D((1, 2, 2))), "int8")
        self.assertEqual(model_file.read(path).ops["MAX_POOL_2D"], 2)


if __name__ == "__main__":
    absltest.main()
