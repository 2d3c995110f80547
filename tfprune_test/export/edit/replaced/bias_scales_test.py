import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS = keras.layers


class BiasScalesTest(parameterized.TestCase):
    @parameterized.product(
        layer=(
            LAYERS.Conv2D,
            LAYERS.Conv2DTranspose,
            LAYERS.DepthwiseConv2D,
            LAYERS.Dense,
        ),
        mode=("int8", "int16x8"),
    )
    def test_a_layer_for_two_inputs_of_different_scales(self, layer, mode):
        keras.utils.set_random_seed(0)
        size = () if layer is LAYERS.Dense else (3,)
        units = () if layer is LAYERS.DepthwiseConv2D else (4,)
        shared = layer(*units, *size, bias_initializer="random_normal")
        inputs = keras.Input((6, 6, 3))
        model = keras.Model(inputs, [shared(inputs), shared(inputs * 0.02)])
        shared.bias.assign(np.linspace(-0.5, 0.5, shared.bias.shape[0]))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        x = small_models.samples(model)
        small_models.export(model, path, mode, x)
        wanted = small_models.predictions(model, x)
        for runtime in ("tflite", "reference", "micro"):
            found = interpreter.run(path, x, runtime)
            for one, other in zip(found, wanted, strict=True):
                off = np.abs(one - other).max()
                self.assertLess(off, 0.05 * np.abs(other).max())


if __name__ == "__main__":
    absltest.main()
