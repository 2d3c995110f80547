import keras
from absl.testing import absltest

from tfprune.datasets import output_names

LAYERS = keras.layers


class OutputNamesTest(absltest.TestCase):
    def test_keys_of_a_dict_come_before_layers(self):
        x = keras.Input((2,))
        a, b = LAYERS.Dense(1, name="a")(x), LAYERS.Dense(1, name="b")(x)
        model = keras.Model(x, [b, a])
        self.assertEqual(output_names.of(model), ["b", "a"])
        model = keras.Model(x, {"q": a, "p": b})
        self.assertEqual(output_names.of(model), ["p", "q"])
        # In the order of the outputs.
        self.assertIs(model.outputs[0], b)

    def test_a_model_that_names_none(self):
        built = keras.Sequential([keras.Input((2,)), LAYERS.Dense(1)])
        self.assertEqual(output_names.of(built), [])
        self.assertEqual(output_names.of(keras.Sequential()), [])


if __name__ == "__main__":
    absltest.main()
