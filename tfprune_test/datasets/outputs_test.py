import keras
import numpy as np
from absl.testing import absltest

from tfprune.datasets import outputs

LAYERS = keras.layers
LOGITS = keras.losses.BinaryCrossentropy(from_logits=True)


class OutputsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        x = keras.Input((2,))
        a, b = LAYERS.Dense(1, name="a")(x), LAYERS.Dense(1, name="b")(x)
        self.listed = keras.Model(x, [b, a])
        self.named = keras.Model(x, {"q": a, "p": b})

    def test_keys_of_a_dict_come_before_layers(self):
        self.assertEqual(outputs.names_of(self.listed), ["b", "a"])
        self.assertEqual(outputs.names_of(self.named), ["p", "q"])
        # In the order of the outputs.
        self.assertIs(self.named.outputs[0], self.named.output["p"])

    def test_a_model_that_names_none(self):
        built = keras.Sequential([keras.Input((2,)), LAYERS.Dense(1)])
        self.assertEqual(outputs.names_of(built), [])
        self.assertEqual(outputs.names_of(keras.Sequential()), [])
        built.compile(loss=LOGITS)
        (found,) = outputs.of(built)
        self.assertEqual((found.name, found.shape), (None, (None, 1)))
        self.assertIs(found.loss, LOGITS)

    def test_each_output_has_its_loss(self):
        for found in outputs.of(self.listed):
            self.assertIsNone(found.loss)
            self.assertEqual((found.kind, found.is_logits), ("none", False))
        self.named.compile(loss={"q": "mse", "p": LOGITS})
        first, second = outputs.of(self.named)
        self.assertEqual((first.kind, first.is_logits), ("binary", True))
        self.assertEqual(second.kind, "numbers")
        self.assertFalse(second.has_own_loss)
        # Another one than the model's.
        (own, _) = outputs.of(self.named, {"p": lambda y, found: found})
        self.assertTrue(own.has_own_loss)

    def test_the_class_that_does_not_count(self):
        def ignored(loss):
            return outputs.Output("a", (None, 3), loss).ignored

        sparse = keras.losses.SparseCategoricalCrossentropy
        self.assertEqual(ignored(sparse(ignore_class=255)), 255)
        self.assertIsNone(ignored(sparse()))
        self.assertIsNone(ignored(LOGITS))
        self.assertIsNone(ignored(None))

    def test_parts_in_the_order_of_the_outputs(self):
        known = outputs.of(self.listed)
        a, b = np.zeros(2), np.ones(2)
        for given in ({"a": a, "b": b}, [b, a], (b, a)):
            first, second = outputs.in_order(given, known)
            self.assertIs(first, b)
            self.assertIs(second, a)
        first, second = outputs.in_order({"a": a}, known)
        self.assertIsNone(first)
        self.assertIs(second, a)
        self.assertLen(outputs.in_order({"other": a}, known), 1)


if __name__ == "__main__":
    absltest.main()
