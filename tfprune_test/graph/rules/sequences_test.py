"""Masks of steps, states that are given, cells, classes of one's own."""

import keras
from absl.testing import parameterized

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


KINDS = (
    masked_both_ways,
    masked_step_by_step,
    masked_cells,
    states_of_cells,
    states_both_ways,
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
