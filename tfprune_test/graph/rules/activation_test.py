import types

import keras
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph.rules import activation

LABELS = "labels"


class ActivateTest(parameterized.TestCase):
    def frozen(self, config, function=None):
        """The reasons for which labels were frozen."""
        reasons = []
        call = types.SimpleNamespace(
            config={"activation": config},
            live=types.SimpleNamespace(activation=function),
            freeze=lambda labels, reason: reasons.append(reason),
        )
        self.assertIs(activation.activate(call, LABELS), LABELS)
        return reasons

    @parameterized.parameters(None, *sorted(activation.ELEMENTWISE))
    def test_elementwise_activations(self, name):
        self.assertEmpty(self.frozen(name, keras.activations.get(name)))

    def test_softmax_mixes_channels(self):
        (reason,) = self.frozen("softmax", keras.activations.softmax)
        self.assertEqual(reason, "activation 'softmax' mixes channels")

    @parameterized.parameters(
        lambda x: keras.ops.sin(x) * x + 1.0,
        lambda x: keras.ops.maximum(x, 0.1 * x),
    )
    def test_functions_of_elementwise_ops(self, function):
        config = {"class_name": "function", "registered_name": "mine"}
        self.assertEmpty(self.frozen(config, function))

    @parameterized.parameters(
        # Over the channels, over their order, over a broadcast mean.
        lambda x: x / keras.ops.sum(x, -1, keepdims=True),
        lambda x: keras.ops.flip(x, -1),
        lambda x: x - keras.ops.mean(x),
        # Not made of Keras ops, or no function at all.
        lambda x: memoryview(x),
        3,
    )
    def test_what_may_mix_channels(self, function):
        config = {"class_name": "function", "registered_name": None}
        (reason,) = self.frozen(config, function)
        self.assertIn("'function' mixes", reason)

    def test_a_lambda(self):
        config = {"code": "4wEAAA==", "defaults": None, "closure": None}
        self.assertEmpty(self.frozen(config, lambda x: x * 2))

    def test_a_function_called_as_one_of_keras(self):
        def tanh(x):
            return x - keras.ops.mean(x, -1, keepdims=True)

        (reason,) = self.frozen("tanh", tanh)
        self.assertIn("'tanh' mixes", reason)

    @parameterized.parameters(
        keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU
    )
    def test_a_layer_as_activation(self, layer):
        config = {"class_name": layer.__name__}
        self.assertEmpty(self.frozen(config, layer()))

    def test_a_layer_with_weights_is_not_called(self):
        layer = keras.layers.PReLU()
        (reason,) = self.frozen({"class_name": "PReLU"}, layer)
        self.assertEqual(reason, "activation 'PReLU' is a layer of its own")
        self.assertFalse(layer.built)

    def test_the_activation_of_a_cell(self):
        reasons = []
        call = types.SimpleNamespace(
            freeze=lambda labels, reason: reasons.append(reason)
        )
        cell = keras.layers.GRUCell(
            2, activation="softmax", recurrent_activation="tanh"
        )
        for key in ("activation", "recurrent_activation"):
            activation.activate_as(call, LABELS, cell, key)
        self.assertEqual(reasons, ["activation 'softmax' mixes channels"])


if __name__ == "__main__":
    absltest.main()
