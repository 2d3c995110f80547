import keras
import numpy as np
import pytest
from absl.testing import absltest
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

    def test_what_is_no_model_is_named(self):
        for other in ("model.keras", keras.layers.Dense(3)):
            with self.assertRaisesRegex(TypeError, "keras.Model is required"):
                values.check_model(other)

    def test_a_sum_that_overflows_is_not_taken_for_infinity(self):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        model.layers[0].bias.assign([3e38, 3e38, 3e38])
        values.check_finite(model)


class LayersTest(absltest.TestCase):
    def test_layers_in_lists_and_in_those_within(self):
        made = [keras.layers.Dense(2) for _ in range(4)]
        block = keras.layers.Layer()
        block.one, block.some = made[0], [made[1]]
        block.more = {"a": [(made[2], None)], "b": {"c": made[3]}}
        self.assertEqual([*values.layers(block)], [block, *made])


@pytest.mark.any_backend
class GivenTest(absltest.TestCase):
    def test_values_and_dtypes_stay(self):
        for dtype in ("float32", "float16", "int32"):
            array = np.arange(6).reshape(2, 3).astype(dtype)
            found = keras.ops.convert_to_numpy(values.given(array))
            np.testing.assert_array_equal(found, array)
            self.assertEqual(found.dtype, array.dtype)

    def test_a_variable_of_its_own(self):
        old = keras.Variable(np.arange(3.0), dtype="float32")

        def start(shape, dtype):
            return values.own(old.value, dtype)

        new = keras.Variable(start, shape=(3,), dtype="float32")
        new.assign_add(np.ones(3))
        np.testing.assert_array_equal(old, [0, 1, 2])
        half = values.own(old.value, "bfloat16")
        kind = keras.backend.standardize_dtype(half.dtype)
        self.assertEqual(kind, "bfloat16")


if __name__ == "__main__":
    absltest.main()
