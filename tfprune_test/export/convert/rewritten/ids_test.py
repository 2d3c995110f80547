import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS, OPS = keras.layers, keras.ops
IDS = 1000


def table(x):
    return LAYERS.Flatten()(LAYERS.Embedding(IDS, 4)(x))


def one_hot(x):
    x = OPS.one_hot(OPS.cast(x, "int32"), IDS)
    return LAYERS.Flatten()(LAYERS.Dense(4)(x))


def category(x):
    return LAYERS.CategoryEncoding(IDS, "one_hot")(x[:, :1])


KINDS = {
    "table": (table, "float32"),
    "one_hot": (one_hot, "int32"),
    "one_hot_of_floats": (one_hot, "float32"),
    "category": (category, "int32"),
    "category_of_floats": (category, "float32"),
}


class IdsTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.create_tempdir().full_path
        self.path = pathlib.Path(folder, "model.tflite")

    @parameterized.parameters(
        lambda x: OPS.median(x, axis=1), lambda x: OPS.quantile(x, 0.3, axis=1)
    )
    def test_places_that_follow_from_shapes(self, function):
        inputs = keras.Input((9,))
        model = keras.Model(inputs, function(inputs))
        data = small_models.samples(model)
        small_models.export(model, self.path, "int8", data[0], runtime="tflite")
        (wanted,) = small_models.predictions(model, data)
        found = interpreter.run(self.path, data, "reference")
        np.testing.assert_allclose(found, wanted, atol=0.05)

    @parameterized.named_parameters((k, *v) for k, v in KINDS.items())
    def test_a_thousand_ids_stay_a_thousand(self, build, dtype):
        inputs = keras.Input((2,), dtype=dtype)
        outputs = LAYERS.Dense(3, "tanh")(build(inputs))
        model = keras.Model(inputs, outputs)
        for weight in model.weights:
            weight.assign(np.random.default_rng(1).normal(size=weight.shape))
        rng = np.random.default_rng(0)
        ids = rng.integers(0, IDS, (100, 2)).astype(dtype)
        # Keras counts categories in 64 bits, which TFLite Micro does not know.
        runtime = "tflite" if build is category else None
        file = small_models.export(
            model, self.path, "int8", ids, runtime=runtime
        )
        self.assertEqual(file.inputs[0].dtype, "int32")
        found = interpreter.run(self.path, ids, "reference")
        error = np.abs(found - np.asarray(model(ids))).max(-1)
        self.assertLess(np.mean(error > 0.2), 0.01)

    @parameterized.product(
        dtype=("float32", "int32"),
        mode=("int8", "int16x8"),
        interface=(None, "float32"),
    )
    def test_masks_and_comparisons_see_whole_ids(self, dtype, mode, interface):
        inputs = keras.Input((6,), dtype=dtype)
        table = LAYERS.Embedding(IDS, 4, mask_zero=True)(inputs)
        above = OPS.cast(OPS.greater(inputs, 500), "float32")
        above = LAYERS.Flatten()(OPS.expand_dims(above, -1))
        mean = LAYERS.GlobalAveragePooling1D()(table)
        model = keras.Model(inputs, LAYERS.Concatenate()([mean, above]))
        rng = np.random.default_rng(0)
        model.layers[1].embeddings.assign(rng.normal(size=(IDS, 4)))
        ids = rng.integers(1, IDS, (100, 6))
        ids[:50, 3:] = 0
        ids[:, 0] = rng.integers(499, 503, 100)
        ids = ids.astype(dtype)
        settings = {"interface": interface}
        small_models.export(model, self.path, mode, ids, **settings)
        found = interpreter.run(self.path, ids, "micro")
        error = np.abs(found - np.asarray(model(ids)))
        self.assertLess(error.max(), 0.05)

    def test_ids_of_a_table_of_weights_are_looked_up_as_they_are(self):
        inputs = keras.Input((6,))
        model = keras.Model(inputs, LAYERS.Embedding(IDS, 4)(inputs))
        ids = np.random.default_rng(0).integers(0, IDS, (50, 6))
        file = small_models.export(model, self.path, "int8", ids)
        self.assertEqual(file.ops, {"GATHER": 1})

    def test_other_tables_may_be_read_from_the_end(self):
        class Lookup(LAYERS.Layer):
            def build(self, shape):
                self.table = self.add_weight(shape=(IDS, 4))

            def call(self, ids):
                return OPS.take(self.table, ids - 1, axis=0)

        inputs = keras.Input((2,), dtype="int32")
        model = keras.Model(inputs, LAYERS.Flatten()(Lookup()(inputs)))
        ids = np.random.default_rng(0).integers(0, 5, (50, 2))
        small_models.export(model, self.path, "int8", ids)
        found = interpreter.run(self.path, ids, "micro")
        np.testing.assert_allclose(found, model(ids), atol=0.01)

    def test_ids_in_floats_stay_whole_where_the_interface_is_float(self):
        inputs = keras.Input((2,))
        numbers = LAYERS.Dense(4)(inputs[:, 1:] / 300)
        ids = LAYERS.Embedding(IDS, 4)(inputs[:, 0])
        model = keras.Model(inputs, LAYERS.Dense(3, "tanh")(ids + numbers))
        rng = np.random.default_rng(0)
        x = np.stack([rng.integers(0, IDS, 100), 300 * rng.normal(size=100)], 1)
        model.layers[-1].kernel.assign(rng.normal(size=(4, 3)))
        settings = {"interface": "float32"}
        small_models.export(model, self.path, "int8", x, **settings)
        found = interpreter.run(self.path, x.astype("float32"), "reference")
        error = np.abs(found - np.asarray(model(x))).max(-1)
        self.assertLess(np.mean(error > 0.1), 0.01)
        with self.assertRaisesRegex(ValueError, "separate input"):
            small_models.export(model, self.path, "int8", x)

    @parameterized.named_parameters(
        ("bins", lambda x: LAYERS.Discretization([-1.0, 0.0, 1.0])(x)),
        ("rounded", lambda x: OPS.cast(OPS.round(x * 3) + 9, "int32")),
    )
    def test_ids_that_are_computed_are_refused_by_name(self, build):
        inputs = keras.Input((2,))
        table = LAYERS.Embedding(20, 4, name="words")(build(inputs))
        model = keras.Model(inputs, LAYERS.Dense(3)(LAYERS.Flatten()(table)))
        with self.assertRaisesRegex(ValueError, "makes ids for '.*words"):
            small_models.export(
                model, self.path, "int8", small_models.samples(model)
            )
        self.assertFalse(self.path.exists())
