import keras
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers


def chain(*layers, shape=(7, 5)):
    return keras.Sequential([keras.Input(shape), *layers, LAYERS.Dense(3)])


def masked():
    layers = [LAYERS.Masking(), LAYERS.GRU(6, return_sequences=True)]
    return chain(*layers, LAYERS.LSTM(4))


def with_states():
    inputs = keras.Input((7, 5)), keras.Input((4, 3))
    states = LAYERS.LSTM(6, return_state=True)(inputs[1])[1:]
    x = LAYERS.LSTM(6, return_sequences=True)(inputs[0], initial_state=states)
    return keras.Model(inputs, LAYERS.Dense(2)(x))


def steps_as_many_as_units():
    inputs = keras.Input((6, 5)), keras.Input((6,), dtype="bool")
    x = LAYERS.SimpleRNN(6, return_sequences=True)(inputs[0], mask=inputs[1])
    return keras.Model(inputs, LAYERS.Dense(2)(x))


class RecurrentTest(exactness.ExactnessTestCase):
    @parameterized.product(
        layer=(
            lambda n: LAYERS.SimpleRNN(n, return_sequences=True),
            lambda n: LAYERS.LSTM(n, return_sequences=True),
            lambda n: LAYERS.GRU(n, return_sequences=True),
            lambda n: LAYERS.GRU(n, reset_after=False, return_sequences=True),
            lambda n: LAYERS.LSTM(n, use_bias=False, return_sequences=True),
        ),
        silence=(0.0, 0.3),
    )
    def test_units_of_stacked_layers(self, layer, silence):
        found = self.assert_exact(chain(layer(6), layer(5)), silence=silence)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 5)

    def test_units_are_counted_in_the_config(self):
        found = self.assert_exact(chain(LAYERS.LSTM(8)))
        small = found.small.layers[0]
        left = int(found.kept[~found.graph.frozen].sum())
        self.assertEqual(small.units, left)
        self.assertEqual(small.cell.kernel.shape[-1], 4 * small.units)

    @parameterized.parameters("concat", "sum", "mul", "ave")
    def test_both_directions(self, merge_mode):
        wrap = LAYERS.Bidirectional
        model = chain(
            wrap(LAYERS.LSTM(6, return_sequences=True), merge_mode=merge_mode),
            wrap(LAYERS.GRU(5), merge_mode=merge_mode),
        )
        found = self.assert_exact(model)
        # The directions have the same number of units, so they go together.
        self.assertEqual(int(found.graph.removable.sum()), 6 + 5)

    def test_directions_apart(self):
        inputs = keras.Input((7, 5))
        layer = LAYERS.Bidirectional(
            LAYERS.SimpleRNN(6, return_state=True), merge_mode=None
        )
        outputs = [LAYERS.Dense(2)(x) for x in layer(inputs)]
        self.assert_exact(keras.Model(inputs, outputs))

    def test_all_steps_and_states_of_directions_apart(self):
        inputs = keras.Input((7, 5))
        layer = LAYERS.GRU(6, return_sequences=True, return_state=True)
        found = LAYERS.Bidirectional(layer, merge_mode=None)(inputs)
        graph = read.channel_graph(keras.Model(inputs, found))
        for x in graph.outputs:
            self.assertEqual(x.labels.ndim, x.rank)
            self.assertEqual(x.varying, (x.rank - 1,))

    @parameterized.parameters((2, "concat"), (3, None))
    def test_some_of_the_states_of_both_directions(self, count, merge_mode):
        inputs = keras.Input((7, 5))
        layer = LAYERS.Bidirectional(
            LAYERS.LSTM(6, return_state=True), merge_mode=merge_mode
        )
        outputs = [LAYERS.Dense(2)(x) for x in layer(inputs)[:count]]
        found = self.assert_exact(keras.Model(inputs, outputs))
        self.assertEqual(int(found.graph.removable.sum()), 6)

    @parameterized.parameters(masked, with_states, steps_as_many_as_units)
    def test_masks_and_states(self, build):
        self.assert_exact(build())

    def test_convolutions_in_time(self):
        model = chain(
            LAYERS.ConvLSTM2D(6, 3, padding="same", return_sequences=True),
            LAYERS.ConvLSTM2D(4, 2),
            LAYERS.Flatten(),
            shape=(3, 8, 8, 2),
        )
        found = self.assert_exact(model, silence=0.3)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 4)

    def test_maps_of_both_directions_stand_side_by_side(self):
        inputs = keras.Input((3, 2, 4, 4))
        layer = LAYERS.ConvLSTM2D(3, 2, data_format="channels_first")
        outputs = LAYERS.Bidirectional(layer)(inputs)
        graph = read.channel_graph(keras.Model(inputs, outputs))
        self.assertEqual(graph.outputs[0].shape[1:], (3, 3, 6))
        self.assertTrue(graph.frozen.all())

    def test_work_of_a_unit(self):
        graph = exactness.strip_masked(chain(LAYERS.LSTM(6)), rate=0).graph
        work = models.multiply_adds(graph, "lstm")
        self.assertEqual(work, 7 * (5 * 4 * 6 + 6 * 4 * 6))


if __name__ == "__main__":
    absltest.main()
