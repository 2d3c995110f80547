import keras
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import rulebook
from tfprune.graph import rules  # noqa: F401, registers the rules of Keras

LAYERS = keras.layers


class Renamed(LAYERS.Dense):
    """Computes what its base does."""

    def build(self, shape):
        super().build(shape)


class Own(LAYERS.Dense):
    """Computes something else."""

    def call(self, inputs):
        return super().call(inputs) ** 2


class Fixed(LAYERS.Dense):
    """Takes no size."""

    def __init__(self, **kwargs):
        super().__init__(7)

    def get_config(self):
        return {"name": self.name, "units": 7}


class Plain(LAYERS.Layer):
    """Derives from no layer with a rule."""


def entry(name, module="keras.layers", registered=None):
    return {
        "class_name": name,
        "module": module,
        "registered_name": registered,
        "config": {},
    }


class NameTest(parameterized.TestCase):
    @parameterized.parameters(
        (entry("Dense"), "Dense"),
        (entry("Add", "keras.src.ops.numpy"), "ops.Add"),
        (entry("Add", "keras.ops.numpy"), "ops.Add"),
        (entry("Mine", "my.layers", "pack>Mine"), "pack>Mine"),
        (entry("Mine", "my.layers"), "Mine"),
        (entry("Mine", None), "Mine"),
        (entry("Dense", "keras.src.models", "Functional"), "Functional"),
    )
    def test_name_of(self, given, expected):
        self.assertEqual(rulebook.name_of(given), expected)

    @parameterized.parameters(
        (entry("Dense"), True),
        (entry("NoSuchLayer"), False),
        # A class of the user's that is called as one of Keras is.
        (entry("Dense", "my.layers"), False),
        (entry("Dense", None), False),
        (entry("Dense", "my.layers", "my>Dense"), False),
    )
    def test_is_known(self, given, expected):
        self.assertEqual(rulebook.is_known(given), expected)


class RuleTest(absltest.TestCase):
    def test_a_rule_of_ones_own(self):
        @rulebook.rule("rulebook_test>First", "rulebook_test>Second")
        def mine(call):
            return call

        for name in ("First", "Second"):
            given = entry(name, "my.layers", f"rulebook_test>{name}")
            self.assertTrue(rulebook.is_known(given))
            self.assertIs(rulebook.of(given), mine)

    def test_one_for_a_class_that_is_not_registered(self):
        @rulebook.rule("OfRulebookTest")
        def mine(call):
            return call

        given = entry("OfRulebookTest", "my.layers")
        self.assertIs(rulebook.of(given), mine)

    def test_a_second_rule_for_a_layer_is_refused(self):
        with self.assertRaisesRegex(ValueError, "layer rule .*'Dense'"):

            @rulebook.rule("Dense")
            def mine(call):
                return call

    def test_without_a_rule_it_is_that_of_any_other(self):
        found = rulebook.of(entry("NoSuchLayer"), Plain())
        self.assertIs(found, rulebook.of(entry("AnotherLayer")))

    def test_a_class_goes_by_the_rule_of_its_base(self):
        dense = rulebook.of(entry("Dense"))
        given = entry("Renamed", "my.layers", "my>Renamed")
        self.assertIs(rulebook.of(given, Renamed(3)), dense)


class BaseTest(parameterized.TestCase):
    def test_one_that_computes_as_its_base(self):
        self.assertIs(rulebook.base_of(Renamed(3)), LAYERS.Dense)

    @parameterized.parameters(Own, Fixed, Plain)
    def test_one_that_does_not(self, cls):
        layer = cls(3) if cls is Own else cls()
        self.assertIsNone(rulebook.base_of(layer))

    def test_layers_of_keras_and_what_is_no_layer(self):
        self.assertIsNone(rulebook.base_of(LAYERS.Dense(3)))
        self.assertIsNone(rulebook.base_of(None))
        self.assertIsNone(rulebook.base_of(keras.ops.add))


if __name__ == "__main__":
    absltest.main()
