import keras
import numpy as np
from absl.testing import parameterized

from tfprune.graph import values


class FiniteWeightsTest(parameterized.TestCase):
    @parameterized.parameters(np.nan, np.inf)
    def test_weights_that_are_not_finite_are_named(self, value):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        values.check_finite(model)
        model.layers[0].bias.assign([0.0, value, 1.0])
        with self.assertRaisesRegex(ValueError, "in sequential.*dense.*/bias"):
            values.check_finite(model)

    def test_a_sum_that_overflows_is_not_taken_for_infinity(self):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        model.layers[0].bias.assign([3e38, 3e38, 3e38])
        values.check_finite(model)
