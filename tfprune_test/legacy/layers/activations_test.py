import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.layers import activations


def function(name, **facts):
    return {"class_name": "function", "config": name, **facts}


class TranslateTest(parameterized.TestCase):
    @parameterized.parameters(
        (None, None),
        ("relu", "relu"),
        # Names of TensorFlow.
        ("softmax_v2", "softmax"),
        ("gelu_v2", "gelu"),
        ("log_softmax_v2", "log_softmax"),
        (function("relu"), "relu"),
        (function("relu", registered_name="function"), "relu"),
        (function({"name": "tanh"}), "tanh"),
        (
            {
                "class_name": "QuantizeAwareActivation",
                "config": {"activation": "relu"},
            },
            "relu",
        ),
        ({"class_name": "NoOpActivation", "config": {}}, None),
    )
    def test_names(self, value, expected):
        self.assertEqual(
            activations.translate(value, "layer"), (expected, False)
        )

    def test_hard_sigmoid_is_that_of_keras_2(self):
        found, changed = activations.translate("hard_sigmoid", "layer")
        self.assertTrue(changed)
        x = np.array([-3.0, -2.5, -1.0, 0.0, 1.0, 2.5, 3.0], "float32")
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(found(x)),
            [0.0, 0.0, 0.3, 0.5, 0.7, 1.0, 1.0],
            atol=1e-6,
        )

    def test_functions_of_the_user_are_found(self):
        def twice(x):
            return 2 * x

        with keras.saving.custom_object_scope({"twice": twice}):
            found, changed = activations.translate(function("twice"), "layer")
        self.assertIs(found, twice)
        self.assertFalse(changed)

    def test_unknown_functions_are_named_with_their_layer(self):
        with self.assertRaisesRegex(ValueError, "'odd' of layer 'head'"):
            activations.translate("odd", "head")


if __name__ == "__main__":
    absltest.main()
