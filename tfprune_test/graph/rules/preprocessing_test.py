import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune_test import exactness

LAYERS = keras.layers


def words():
    layer = LAYERS.TextVectorization(output_sequence_length=5)
    layer.adapt(["a b c", "a a b"])
    return layer, keras.Input((1,), dtype="string")


def names():
    layer = LAYERS.StringLookup()
    layer.adapt(["a", "b"])
    return layer, keras.Input((3,), dtype="string")


def bins():
    layer = LAYERS.Discretization(num_bins=4)
    layer.adapt(np.random.default_rng(0).normal(size=(50, 1)))
    return layer, keras.Input((3,))


class PreprocessingTest(exactness.ExactnessTestCase):
    @parameterized.parameters(words, names, bins)
    def test_vocabularies_and_bins_stay(self, make):
        if keras.backend.backend() != "tensorflow" and make is not bins:
            self.skipTest("strings are inputs of TensorFlow only")
        layer, inputs = make()
        x = LAYERS.Flatten()(LAYERS.Embedding(6, 5)(layer(inputs)))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = self.assert_exact(model, rate=0.9)
        self.assertEqual(int(found.graph.removable.sum()), 5)


if __name__ == "__main__":
    absltest.main()
