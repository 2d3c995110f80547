import keras
import numpy as np
from absl.testing import absltest

from tfprune.legacy.operations import lambdas

LAMBDA = keras.layers.Lambda


class BuildTest(absltest.TestCase):
    def test_code_runs_only_if_it_is_allowed(self):
        with self.assertRaisesRegex(
            ValueError, "layer 'odd'.*allow_lambda=True"
        ):
            lambdas.build(LAMBDA, {"name": "odd", "function": "f"}, "odd", True)

    def test_a_function_that_the_user_gives(self):
        def scaled(x, factor):
            return x * factor

        config = {
            "name": "a/b",
            "function": "scaled",
            "arguments": {"factor": 3.0},
        }
        with keras.saving.custom_object_scope({"scaled": scaled}):
            layer = lambdas.build(LAMBDA, config, "a_b", False)
        self.assertEqual(layer.name, "a_b")
        np.testing.assert_array_equal(layer(np.ones((1, 2))), [[3.0, 3.0]])

    def test_a_function_in_place_of_code_needs_no_trust(self):
        config = {"name": "odd", "function": ["bm90IGNvZGU=\n", None, None]}
        with keras.saving.custom_object_scope({"odd": lambda x: 2 * x}):
            layer = lambdas.build(LAMBDA, config, "odd", True)
        np.testing.assert_array_equal(layer(np.ones((1, 2))), [[2.0, 2.0]])

    def test_code_of_another_python_is_refused(self):
        config = {"name": "odd", "function": ["bm90IGNvZGU=\n", None, None]}
        with self.assertRaisesRegex(ValueError, "this Python version.*'odd'"):
            lambdas.build(LAMBDA, config, "odd", False)


if __name__ == "__main__":
    absltest.main()
