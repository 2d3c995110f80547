"""Sums that Keras on TensorFlow takes for those with a bias."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph.rules import additions
from tfprune.selection import cut as cut_lib
from tfprune.surgery import shrinking
from tfprune.surgery import verification

LAYERS = keras.layers
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def channels_first(x):
    x = LAYERS.Permute((3, 1, 2))(x) + draw(8, 1, 1)
    return LAYERS.Permute((2, 3, 1))(x)


def nested(x):
    inside = keras.Input(x.shape[1:])
    return keras.Model(inside, inside + draw(4, 1, 1))(x)


class AdditionsTest(parameterized.TestCase):
    @parameterized.product(
        body=[
            lambda x: x + draw(4, 1, 1),
            lambda x: x + draw(1, 1, 6, 1),
            lambda x: x + draw(1, 1, 8),
            lambda x: x + draw(8),
            channels_first,
            nested,
        ],
        left=[4, 6],
    )
    def test_as_many_channels_as_rows_or_columns(self, body, left):
        inputs = keras.Input((4, 6, 3))
        x = body(LAYERS.Conv2D(8, 1)(inputs))
        model = keras.Model(inputs, LAYERS.Conv2D(2, 1)(x))
        graph = read.channel_graph(model)
        self.assertEqual(graph.removable.sum(), 8)
        keep = np.ones(graph.size, bool)
        keep[np.flatnonzero(graph.removable)[left:]] = False
        cut = cut_lib.Cut(graph, keep)
        small = shrinking.apply(cut)
        verification.check_equal(shrinking.masked(cut), small)
        # The sums are as they are in a file, too.
        copy = keras.Model.from_config(small.get_config())
        copy.set_weights(small.get_weights())
        verification.check_equal(small, copy)

    def test_channels_of_a_sum_along_another_axis_stay(self):
        inputs = keras.Input((8, 5, 3))
        # The rows are as many as the channels.
        x = LAYERS.Conv2D(8, 1)(inputs) + draw(8, 1, 1)
        model = keras.Model(inputs, LAYERS.Conv2D(2, 1)(x))
        removable = read.channel_graph(model).removable.sum()
        self.assertEqual(removable, 0 if ON_TENSORFLOW else 8)

    @parameterized.parameters(
        ((6, 1), (None, 5, 6, 6), True),
        ((6, 1, 1), (None, 6, 5, 6), True),
        ((6, 1, 1), (None, 6, 5, 8), False),
        ((6, 1), (None, 6, 6, 8), True),
        ((6,), (None, 6, 6, 6), False),
        ((6, 6), (None, 6, 6, 6), False),
        ((), (None, 6), False),
    )
    def test_where_keras_adds(self, array, tensor, elsewhere):
        found = additions.is_elsewhere(array, tensor)
        self.assertEqual(found, elsewhere and ON_TENSORFLOW)
        x = np.zeros((2, *tensor[1:]), "float32")
        differ = not np.allclose(keras.ops.add(x, draw(*array)), draw(*array))
        self.assertEqual(differ, found)


if __name__ == "__main__":
    absltest.main()
