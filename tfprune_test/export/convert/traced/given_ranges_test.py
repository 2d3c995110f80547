import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.convert.traced import given_ranges
from tfprune.export.run import interpreter
from tfprune.export.run import litert
from tfprune_test.export import small_models

X = np.random.default_rng(0).normal(size=(50, 8, 8, 3)).astype("float32")


def model():
    inputs = keras.Input((8, 8, 3), name="x")
    x = keras.layers.Identity(name="entry")(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="first")(x)
    y = keras.layers.Conv2D(4, 3, padding="same", name="second")(x)
    y = keras.layers.BatchNormalization()(y)
    y = keras.layers.ReLU(name="relu")(y)
    x = keras.layers.Add(name="sum")([x, y])
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="last")(x))


class GivenRangesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        keras.utils.set_random_seed(0)
        self.model = model()
        self.path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")

    def scales(self, **options):
        """Scales of the activations, and zero points."""
        small_models.export(self.model, self.path, "int8", X, **options)
        details = litert.open_file(self.path)[0].get_tensor_details()
        return {
            tuple(np.round(d["quantization"], 6))
            for d in details
            if d["dtype"] is np.int8 and d["quantization"][0]
        }

    @parameterized.parameters(
        ("entry", -4.0, 4.0),
        ("first", 0.0, 6.0),
        ("relu", 0.0, 3.0),
        ("sum", -1.0, 9.0),
        ("mean", -2.0, 2.0),
        ("last", -10.0, 10.0),
    )
    def test_an_output_has_its_range(self, name, low, high):
        scale = (high - low) / 255
        zero = round(-128 - low / scale)
        wanted = round(scale, 6)
        before = self.scales()
        self.assertNotIn(wanted, {s for s, _ in before})
        found = dict(self.scales(ranges={name: (low, high)}))
        self.assertIn(wanted, found)
        self.assertAlmostEqual(found[wanted], zero, delta=1)
        for runtime in ("micro", "reference"):
            outputs = interpreter.run(self.path, X, runtime)
            np.testing.assert_allclose(
                outputs, self.model.predict(X, verbose=0), atol=0.25
            )

    @parameterized.parameters("mixed_float16", "mixed_bfloat16")
    def test_half_precision(self, policy):
        before = keras.config.dtype_policy()
        self.addCleanup(keras.config.set_dtype_policy, before)
        keras.config.set_dtype_policy(policy)
        self.model = model()
        found = {s for s, _ in self.scales(ranges={"first": (0.0, 6.0)})}
        self.assertIn(round(6 / 255, 6), found)

    def test_values_beyond_a_range_are_clipped(self):
        self.scales(ranges={"last": (-0.25, 0.25)})
        outputs = interpreter.run(self.path, X)
        wanted = np.clip(self.model.predict(X, verbose=0), -0.25, 0.25)
        self.assertGreater(np.abs(wanted).max(), 0.24)
        np.testing.assert_allclose(outputs, wanted, atol=0.05)

    def test_the_model_is_as_before(self):
        before = self.model.predict(X, verbose=0)
        self.scales(ranges={"first": (0, 0.1)})
        np.testing.assert_array_equal(self.model.predict(X, verbose=0), before)
        self.assertNotIn("call", vars(self.model.get_layer("first")))

    def test_a_layer_in_float_has_no_range(self):
        with self.assertRaisesRegex(ValueError, "sum in keep_float and in r"):
            self.scales(ranges={"sum": (0, 9)}, keep_float="sum")

    def test_beside_layers_in_float(self):
        before = self.scales(keep_float="last")
        found = self.scales(keep_float="last", ranges={"relu": (0, 5.1)})
        self.assertNotIn(0.02, {s for s, _ in before})
        self.assertIn(0.02, {s for s, _ in found})

    def test_a_range_of_int8_holds_zero(self):
        ((_, low, high),) = given_ranges.checked(self.model, {"sum": (1, 2)})
        self.assertEqual((low, high), (0.0, 2.0))

    def test_a_layer_within_another_one_has_the_name_too(self):
        class Block(keras.layers.Layer):
            def __init__(self):
                super().__init__()
                self.parts = [keras.layers.Dense(3, name="first")]

            def call(self, inputs):
                return self.parts[0](inputs)

        first = keras.layers.Dense(2, name="first")
        whole = keras.Sequential([keras.Input((4,)), first, Block()])
        ((found, *_),) = given_ranges.checked(whole, {"first": (0, 1)})
        self.assertIs(found, first)

    @parameterized.parameters(
        ({"none": (0, 1)}, "'none'; the model has .*first"),
        ({"first": (1, 0)}, r"ranges\['first'\]=\(1, 0\)"),
        ({"first": (0, float("inf"))}, "two finite numbers"),
        ({"first": 3}, "two finite numbers"),
        ([("first", (0, 1))], "ranges of type list.*dict"),
    )
    def test_what_is_no_range_is_refused(self, ranges, message):
        with self.assertRaisesRegex(ValueError, message):
            given_ranges.checked(self.model, ranges)
