"""Masks of steps, states that are given, cells, classes of one's own."""

import keras
from absl.testing import parameterized

from tfprune.costs import counting
from tfprune.graph import read
from tfprune.graph import rulebook
from tfprune_test import exactness

LAYERS, OPS = keras.layers, keras.ops


class MyConv(LAYERS.Conv2D):
    """Computes what its base does."""


class MyDense(LAYERS.Dense):
    """With a setting of its own."""

    def __init__(self, units, extra=1, **kwargs):
        super().__init__(units, **kwargs)
        self.extra = extra

    def build(self, shape):
        super().build(shape)
        self.ready = True


class MyLSTM(LAYERS.LSTM):
    """Computes what its base does."""


class MyCell(LAYERS.LSTMCell):
    """Computes what its base does."""


@keras.saving.register_keras_serializable("sequences")
class Projected(LAYERS.Layer):
    """A cell with a wide memory and a narrow output."""

    def __init__(self, units, width, **kwargs):
        super().__init__(**kwargs)
        self.units, self.width = units, width
        self.state_size, self.output_size = [units, width], units

    def build(self, shape):
        sizes = shape[-1], self.units
        self.enter = self.add_weight((sizes[0], self.width), name="enter")
        self.again = self.add_weight((sizes[1], self.width), name="again")
        self.leave = self.add_weight((self.width, self.units), name="leave")
        self.built = True

    def call(self, x, states):
        old, memory = states
        seen = OPS.matmul(x, self.enter) + OPS.matmul(old, self.again)
        memory = 0.5 * memory + OPS.tanh(seen)
        out = OPS.matmul(memory, self.leave)
        return out, [out, memory]

    def get_config(self):
        return super().get_config() | {
            "units": self.units,
            "width": self.width,
        }


@rulebook.rule("sequences>Projected")
def projected(call):
    units, width = (call.channels(-1, x) for x in call.tensors[1:])
    call.bind("enter", 0, call.channels(-1), "reads", input_axis=-1)
    call.bind("enter", 1, width, "writes")
    call.bind("again", 0, units, "reads")
    call.bind("again", 1, width, "writes")
    call.bind("leave", 0, width, "reads")
    call.bind("leave", 1, units, "writes")
    call.count("units", units)
    call.count("width", width)
    call.multiply_adds(1, call.channels(-1), width)
    call.multiply_adds(2, units, width)
    return [call.spread(x, -1, k) for k, x in enumerate((units, units, width))]


class NoRule(Projected):
    """A cell that tfprune does not know."""


class Halved(LAYERS.Dense):
    """Computes something else than its base."""

    def call(self, x):
        return super().call(x) / 2


def words():
    x = keras.Input((5,), dtype="int32")
    return x, LAYERS.Embedding(20, 6, mask_zero=True)(x)


def masked_both_ways():
    x, y = words()
    return x, LAYERS.Bidirectional(LAYERS.LSTM(4))(y)


def masked_step_by_step():
    x, y = words()
    return x, LAYERS.LSTM(4)(LAYERS.TimeDistributed(LAYERS.Dense(6))(y))


def masked_cells():
    x, y = words()
    cells = [LAYERS.LSTMCell(4), LAYERS.GRUCell(6), LAYERS.SimpleRNNCell(4)]
    return x, LAYERS.RNN(cells)(y)


def states_of_cells():
    x = keras.Input((5, 3))
    y, *states = LAYERS.RNN(
        [LAYERS.LSTMCell(4), LAYERS.GRUCell(6)], return_state=True
    )(x)
    other = [LAYERS.LSTMCell(4), LAYERS.GRUCell(6)]
    return x, LAYERS.RNN(other)(x, initial_state=states) + y


def cells_of_their_own():
    x = keras.Input((5, 3))
    cells = [MyCell(4), Projected(6, 8), LAYERS.GRUCell(5), Projected(4, 6)]
    y = LAYERS.RNN(cells, return_sequences=True)(x)
    return x, LAYERS.RNN(Projected(4, 6))(y)


def cells_both_ways():
    x = keras.Input((5, 3))
    y = LAYERS.Bidirectional(LAYERS.RNN(Projected(4, 6)))(x)
    return x, LAYERS.Dense(4)(y)


def states_of_ones_own():
    x = keras.Input((5, 3))
    y, *states = LAYERS.RNN(Projected(4, 6), return_state=True)(x)
    z = LAYERS.RNN(Projected(4, 6))(x, initial_state=states)
    return x, LAYERS.Concatenate()([y, z])


def states_both_ways():
    x = keras.Input((5, 3))
    _, *states = LAYERS.Bidirectional(LAYERS.LSTM(4, return_state=True))(x)
    return x, LAYERS.Bidirectional(LAYERS.LSTM(4))(x, initial_state=states)


def patches():
    x = keras.Input((8, 8, 3))
    y = LAYERS.Conv2D(6, 3, padding="same", activation="relu")(x)
    y = LAYERS.Dense(8)(OPS.image.extract_patches(y, 4))
    return x, LAYERS.GlobalAveragePooling2D()(y)


def own_classes():
    x = keras.Input((8, 8, 3))
    y = LAYERS.GlobalAveragePooling2D()(MyConv(8, 3)(x))
    y = LAYERS.Reshape((1, 8))(MyDense(8)(y))
    return x, MyLSTM(6)(y)


def one_cell_both_ways():
    inputs = keras.Input((5, 3))
    cell = LAYERS.RNN(LAYERS.GRUCell(4), return_sequences=True)
    return inputs, LAYERS.Dense(3)(LAYERS.Bidirectional(cell)(inputs))


def stateful_cells():
    inputs = keras.Input(batch_shape=(2, 5, 3))
    cells = [LAYERS.LSTMCell(6), LAYERS.GRUCell(6)]
    return inputs, LAYERS.RNN(cells, stateful=True)(inputs)


KINDS = (
    one_cell_both_ways,
    stateful_cells,
    masked_both_ways,
    masked_step_by_step,
    masked_cells,
    states_of_cells,
    states_both_ways,
    cells_of_their_own,
    cells_both_ways,
    states_of_ones_own,
    patches,
    own_classes,
)


class SequencesTest(exactness.ExactnessTestCase):
    @parameterized.named_parameters((f.__name__, f) for f in KINDS)
    def test_channels_are_followed(self, build):
        inputs, x = build()
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = self.assert_exact(model)
        fixed = {r for _, _, r in found.graph.reasons}
        self.assertLessEqual(
            fixed,
            {"its output", "an input of the model", "a mask over time steps"},
        )

    def test_a_class_that_computes_something_else_has_no_rule(self):
        inputs = keras.Input((4,))
        model = keras.Model(inputs, LAYERS.Dense(2)(Halved(6)(inputs)))
        self.assert_exact(model, removes=False, unknown=["Halved"])

    def test_a_cell_without_a_rule_is_named(self):
        inputs = keras.Input((5, 3))
        x = LAYERS.RNN(NoRule(4, 6))(inputs)
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        self.assert_exact(model, removes=False, unknown=["NoRule"])

    def test_work_of_a_cell_counts_for_every_step(self):
        inputs = keras.Input((5, 3))
        cells = [Projected(4, 6), Projected(2, 3)]
        model = keras.Model(inputs, LAYERS.RNN(cells)(inputs))
        graph = read.channel_graph(model)
        steps = 3 * 6 + 2 * 4 * 6 + 4 * 3 + 2 * 2 * 3
        self.assertEqual(counting.cost(model).macs, 5 * steps)
        self.assertEqual(int(graph.removable.sum()), 4 + 6 + 3)
