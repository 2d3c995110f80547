"""Lambda layers of old files."""

import base64
import marshal

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

    def test_code_finds_what_it_found_in_keras_2(self):
        def function(x, shift=(0.0,), times=2):
            return tf.square(x) * times + np.float32(shift)  # noqa: F821

        if keras.backend.backend() != "tensorflow":
            self.skipTest("runs functions of TensorFlow")
        code = marshal.dumps(function.__code__)
        code = base64.encodebytes(code).decode()
        parts = {"code": code, "defaults": [[1.0], 3], "closure": None}
        archived = {"class_name": "__lambda__", "config": parts}
        for written in ([*parts.values()], archived):
            config = {"name": "odd", "function": written}
            layer = lambdas.build(LAMBDA, config, "odd", False)
            model = keras.Sequential([keras.Input((2,)), layer])
            np.testing.assert_array_equal(
                model(np.float32([[1, 2]])), [[4.0, 13.0]]
            )

    def test_code_of_another_python_is_refused(self):
        config = {"name": "odd", "function": ["bm90IGNvZGU=\n", None, None]}
        with self.assertRaisesRegex(ValueError, "this Python version.*'odd'"):
            lambdas.build(LAMBDA, config, "odd", False)


if __name__ == "__main__":
    absltest.main()
