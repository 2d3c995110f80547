import keras
import numpy as np
from absl.testing import absltest

from tfprune.graph import read
from tfprune.selection import cut as cut_lib
from tfprune.surgery import shrinking
from tfprune.surgery import stripping

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype("float32")


def model():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(5, "relu", name="a")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="b")(x))


class ShrinkingTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.model = model()
        graph = read.channel_graph(self.model)
        (group,) = (g for g in graph.groups if not g.frozen)
        keep = np.ones(graph.size, bool)
        keep[group.labels[[1, 3]]] = False
        self.cut = cut_lib.Cut(graph, keep)
        self.a, self.b = (
            [keras.ops.convert_to_numpy(w) for w in layer.weights]
            for layer in self.model.layers[1:]
        )

    def expected(self, reader):
        hidden = np.maximum(X @ self.a[0] + self.a[1], 0)
        return hidden[:, [0, 2, 4]] @ reader[[0, 2, 4]] + self.b[1]

    def test_the_other_channels_are_gone(self):
        small = shrinking.apply(self.cut)
        self.assertEqual(small.get_layer("a").units, 3)
        np.testing.assert_allclose(
            small.predict(X, verbose=0), self.expected(self.b[0]), atol=1e-5
        )

    def test_new_weights_are_taken(self):
        kernel = self.model.get_layer("b").kernel
        changed = self.cut.changed({id(kernel): 2 * self.b[0]})
        small = shrinking.apply(changed)
        np.testing.assert_allclose(
            small.predict(X, verbose=0),
            self.expected(2 * self.b[0]),
            atol=1e-5,
        )
        np.testing.assert_array_equal(kernel, self.b[0])

    def test_zeros_where_they_would_be_read(self):
        masked = shrinking.masked(self.cut)
        np.testing.assert_array_equal(masked.get_layer("a").kernel, self.a[0])
        wanted = self.b[0].copy()
        wanted[[1, 3]] = 0
        np.testing.assert_array_equal(masked.get_layer("b").kernel, wanted)
        np.testing.assert_allclose(
            masked.predict(X, verbose=0), self.expected(self.b[0]), atol=1e-5
        )
        small = stripping.strip(masked)
        self.assertEqual(small.get_layer("a").units, 3)


if __name__ == "__main__":
    absltest.main()
