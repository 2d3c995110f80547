import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.convert import signature
from tfprune_test.export import small_models


def convolution():
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))


class SignatureTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("functional", small_models.residual, [("image", (1, 8, 8, 2))]),
        ("sequential", small_models.sequential, [("input", (1, 5, 2))]),
        (
            "several",
            small_models.two_in_two_out,
            [("left", (1, 6)), ("above", (1, 6))],
        ),
        ("subclassed", small_models.subclassed, [("a", (1, 5)), ("b", (1, 4))]),
    )
    def test_names_and_shapes_stand_in_the_order_of_the_model(
        self, build, expected
    ):
        inputs = signature.of(build()).inputs
        self.assertEqual([(s.name, s.shape) for s in inputs], expected)

    def test_integers_stay_integers(self):
        (tokens,) = signature.of(small_models.embedded()).inputs
        self.assertEqual(tokens.dtype, "int32")

    def test_the_structure_is_what_the_model_takes(self):
        packed = signature.of(small_models.subclassed()).pack([1, 2])
        self.assertEqual(packed, {"a": 1, "b": 2})

    def test_names_that_become_equal_are_numbered(self):
        left, right = (
            keras.Input((2,), name="a b"),
            keras.Input((2,), name="a_b"),
        )
        model = keras.Model([left, right], keras.layers.Add()([left, right]))
        names = [spec.name for spec in signature.of(model).inputs]
        self.assertEqual(names, ["a_b_0", "a_b_1"])

    @parameterized.parameters(
        ("Höhe 2", "Hohe_2"), ("_x", "x"), ("模", "input"), ("a-b", "a_b")
    )
    def test_names_in_the_file_are_plain(self, name, plain):
        inputs = keras.Input((2,), name=name)
        model = keras.Model(inputs, keras.layers.ReLU()(inputs))
        (spec,) = signature.of(model).inputs
        self.assertEqual((spec.name, spec.key), (plain, name))

    def test_samples_by_name_get_the_order_of_the_file(self):
        left, right = keras.Input((2,), name="b c"), keras.Input((2,), name="a")
        total = keras.layers.Add()([left, right])
        data = {"a": 1, "b c": 2, "other": 3}
        listed = keras.Model([left, right], total)
        self.assertEqual(signature.in_order(listed, data), [2, 1])
        keyed = keras.Model({"b c": left, "a": right}, total)
        self.assertEqual(signature.in_order(keyed, data), [1, 2])
        nested = keras.Model({"both": [left, right]}, total)
        self.assertEqual(signature.in_order(nested, {"both": [1, 2]}), [1, 2])
        self.assertEqual(signature.in_order(listed, {"a": 1}), {"a": 1})

    def test_open_dimensions_are_filled_in(self):
        for shape in ((8, 6, 3), np.array([8, 6, 3]), [[8, 6, 3]]):
            (spec,) = signature.of(convolution(), shape).inputs
            self.assertEqual(spec.shape, (1, 8, 6, 3))

    @parameterized.parameters(
        (None, "Pass input_shapes="),
        ((8, 8, 4), "the model has"),
        ((8, 8), "the model has"),
        ([(8, 8, 3), (1,)], "the model has"),
        (8, "input_shapes=8, the model has"),
        ((8.0, 8, 3), "the model has"),
        ((-1, 8, 3), "the model has"),
        ({"image": (8, 8, 3)}, "input_shapes={'image'"),
    )
    def test_shapes_that_do_not_fit_are_refused(self, shapes, message):
        with self.assertRaisesRegex(ValueError, message):
            signature.of(convolution(), shapes)

    def test_texts_are_refused_by_name(self):
        words = keras.Input((1,), dtype="string", name="words")
        lookup = keras.layers.StringLookup(
            vocabulary=["a", "b"], output_mode="one_hot"
        )
        model = keras.Model(words, keras.layers.Dense(2)(lookup(words)))
        with self.assertRaisesRegex(ValueError, "'words' of dtype string"):
            signature.of(model)
        rest = keras.Model(lookup.output, model.output)  # as the error says
        self.assertEqual(signature.of(rest).inputs[0].shape, (1, 3))

    @parameterized.parameters("model.keras", None, keras.layers.Dense)
    def test_what_is_no_model_is_refused(self, model):
        with self.assertRaisesRegex(TypeError, "keras.Model is required"):
            signature.of(model)

    @parameterized.parameters(small_models.Subclassed, keras.Sequential)
    def test_a_model_without_weights_is_refused(self, build):
        with self.assertRaisesRegex(ValueError, "built model"):
            signature.of(build())
