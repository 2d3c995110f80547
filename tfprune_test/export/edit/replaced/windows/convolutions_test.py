import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.micro.arena import flat_ops
from tfprune.export.run import interpreter
from tfprune_test.export import small_models


class ConvolutionTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")

    @parameterized.parameters("zeros", "ones")
    def test_a_transposed_convolution_of_int16_has_a_bias(self, bias):
        """The kernel of CMSIS-NN reads one in any case."""
        inputs = keras.Input((4, 4, 3))
        layer = keras.layers.Conv2DTranspose(2, 3, bias_initializer=bias)
        model = keras.Model(inputs, layer(inputs))
        x = small_models.samples(model)
        small_models.export(model, self.path, "int16x8", x)
        (graph,) = flat_ops.read(self.path.read_bytes())
        self.assertEqual(graph.ops[0].inputs[3].dtype, "INT64")
        wanted = small_models.predictions(model, x)[0]
        for runtime in ("tflite", "reference", "micro"):
            found = interpreter.run(self.path, x, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.05)

    @parameterized.parameters("relu", "relu6")
    def test_a_transposed_convolution_of_int16_has_its_relu_apart(self, name):
        """CMSIS-NN leaves it out, and the kernel of ReLU6 never rescales."""
        inputs = keras.Input((4, 4, 3))
        layer = keras.layers.Conv2DTranspose(2, 3, activation=name)
        model = keras.Model(inputs, layer(inputs))
        x = small_models.samples(model)
        small_models.export(model, self.path, "int16x8", x)
        ops = model_file.read(self.path).ops
        self.assertContainsSubset({"TRANSPOSE_CONV", name.upper()}, ops)
        wanted = small_models.predictions(model, x)[0]
        for runtime in ("tflite", "reference", "micro"):
            found = interpreter.run(self.path, x, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.05)
