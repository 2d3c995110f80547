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
