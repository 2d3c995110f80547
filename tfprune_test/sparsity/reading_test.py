import types

import keras
import numpy as np
from absl.testing import absltest

from tfprune.methods import autoprune
from tfprune.methods import hard_concrete
from tfprune.methods import soft_threshold
from tfprune.patterns import weight_patterns
from tfprune.sparsity import reading
from tfprune.sparsity import wrapping

LAYERS = keras.layers


def slot(kernel, reads, writes):
    return types.SimpleNamespace(
        kernel=kernel,
        shape=tuple(kernel.shape),
        axes=weight_patterns.Axes(reads, writes),
    )


class ReadingTest(absltest.TestCase):
    def test_weights_with_one_reading_axis(self):
        dense = LAYERS.Dense(3)
        dense.build((None, 4))
        self.assertEqual(reading.names(dense), ("kernel",))
        # It reads two axes at a time.
        einsum = LAYERS.EinsumDense("abc,bcd->ad", 3)
        einsum.build((None, 5, 4))
        self.assertEqual(reading.names(einsum), ())

    def test_a_vector_along_the_axis(self):
        rng = np.random.default_rng(0)
        kernel = rng.normal(size=(2, 3, 4))
        vector = np.array([1.0, 0, 3])
        found = reading.along(slot(kernel, (1,), (2,)), vector)
        np.testing.assert_array_equal(
            kernel * keras.ops.convert_to_numpy(found),
            np.einsum("abc,b->abc", kernel, vector),
        )

    def test_slices_that_read_one_channel(self):
        inputs = keras.Input((2, 2, 1))
        x = LAYERS.Conv2D(3, 1, name="conv")(inputs)
        x = LAYERS.Flatten()(x)
        model = keras.Model(inputs, LAYERS.Dense(2, name="dense")(x))
        conv = model.get_layer("conv").kernel
        dense = model.get_layer("dense").kernel
        of_conv, of_dense = reading.slices(
            model, [slot(conv, (2,), (3,)), slot(dense, (0,), (1,))]
        )
        # The input stays; three channels at each of four positions.
        self.assertEqual(of_conv.tolist(), [-1])
        self.assertEqual(of_dense.tolist(), [0, 1, 2] * 4)

    def test_a_method_without_channels_of_its_own_is_told(self):
        inputs = keras.Input((4,))
        x = LAYERS.ReLU()(LAYERS.Dense(3, name="first")(inputs))
        model = keras.Model(inputs, LAYERS.Dense(2, name="last")(x))
        for method in (
            autoprune.AutoPruneChannels(),
            hard_concrete.HardConcrete(),
            soft_threshold.SoftThresholdChannels(),
        ):
            with self.assertLogs("absl", "WARNING") as logs:
                wrapping.wrap(model, method, "first")
            self.assertIn("first/kernel", logs.output[0])
            with self.assertNoLogs("absl", "WARNING"):
                wrapping.wrap(model, method)

    def test_a_weight_that_the_graph_does_not_know(self):
        inputs = keras.Input((3,))
        model = keras.Model(inputs, LAYERS.Dense(2)(inputs))
        other = keras.Variable(np.ones((4, 2)))
        (found,) = reading.slices(model, [slot(other, (0,), (1,))])
        self.assertEqual(found.tolist(), [-1] * 4)


if __name__ == "__main__":
    absltest.main()
