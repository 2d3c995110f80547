import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.micro.arena import flat_ops
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS = keras.layers
STEPS = 3


def net(size, pool, strides, padding, average=False):
    """Steps as samples, each of which is pooled."""
    kind = LAYERS.AveragePooling2D if average else LAYERS.MaxPooling2D
    inputs = keras.Input((STEPS, *size, 2))
    x = keras.ops.reshape(inputs, (-1, *size, 2))
    x = kind(pool, strides, padding)(x)
    outputs = keras.ops.reshape(x, (-1, STEPS, *x.shape[1:]))
    return keras.Model(inputs, outputs)


class PoolingsTest(parameterized.TestCase):
    @parameterized.parameters(
        (net((4, 4), 2, 2, "valid"), 0),
        (net((4, 5), 2, 2, "same"), 0),
        (net((4, 4), 2, 2, "valid", True), 0),
        (net((5, 4), 2, 2, "valid"), 2),
        (net((5, 5), 3, 2, "same"), 2),
        (net((4, 4), 3, 1, "same", True), 2),
    )
    def test_a_pooling_has_one_sample(self, model, transpositions):
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        arrays = small_models.samples(model, 50)
        for quantize in ("int8", "int16x8"):
            file = small_models.export(model, path, quantize, arrays)
            self.assertEqual(file.ops.get("TRANSPOSE", 0), transpositions)
            (graph,) = flat_ops.read(path.read_bytes())
            (op,) = (op for op in graph.ops if "POOL" in op.kind)
            self.assertEqual(op.inputs[0].shape[0], 1)
            wanted = small_models.predictions(model, arrays)[0]
            for runtime in ("reference", "micro"):
                found = interpreter.run(path, arrays, runtime)
                np.testing.assert_allclose(found, wanted, atol=0.05)


if __name__ == "__main__":
    absltest.main()
