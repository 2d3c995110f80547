"""Layers that old models call with `training=`."""

import warnings

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy import building
from tfprune_test.legacy.old_files import layer


def functional(shape, entry, *calls):
    """A model that calls one layer, once for each given `training`."""
    name = entry["config"]["name"]
    source = layer("InputLayer", name="x", batch_input_shape=[None, *shape])
    given = [{} if call is None else {"training": call} for call in calls]
    layers = [
        {**source, "name": "x", "inbound_nodes": []},
        {
            **entry,
            "name": name,
            "inbound_nodes": [[["x", 0, 0, kwargs]] for kwargs in given],
        },
    ]
    ends = [[name, i, 0] for i in range(len(calls))]
    config = {"name": "old", "layers": layers, "input_layers": [["x", 0, 0]]}
    return layer("Functional", **config, output_layers=ends)


def inside(*layers):
    first = layer("InputLayer", name="y", batch_input_shape=[None, 4])
    return layer("Sequential", name="inner", layers=[first, *layers])


NORM = layer("BatchNormalization", name="a", axis=[1])
DROPOUT = layer("Dropout", name="a", rate=0.5)


class Asking(keras.layers.Layer):
    """A layer of a user whose calls must say whether they train."""

    def call(self, x, training):
        return x + 1 if training else x


class TrainingCallsTest(parameterized.TestCase):
    @parameterized.parameters(
        ((4,), {}),
        ((5, 4), {"axis": [2], "center": False}),
        ((6, 5, 4), {"epsilon": 0.1, "beta_regularizer": "l2"}),
        ((4, 5, 6), {"axis": [1]}),
        ((3, 3, 3, 4), {}),
    )
    def test_statistics_of_the_batch(self, shape, settings):
        entry = layer("BatchNormalization", name="a", **settings)
        builder = building.Builder()
        found = builder.model(functional(shape, entry, True))
        (model,) = found.layers
        draw = np.random.default_rng(0)
        gamma, beta, mean, variance = draw.normal(size=(4, 4)).astype("float32")
        biased = settings.get("center", True)
        arrays = [gamma, *([beta] if biased else []), mean, variance]
        found.assign_by_layer({"a": [("", array) for array in arrays]})
        x = 3 + draw.normal(size=(7, *shape)).astype("float32")
        axis = settings.get("axis", [-1])[0]
        y = np.moveaxis(x, axis, -1)
        around = tuple(range(y.ndim - 1))
        epsilon = settings.get("epsilon", 1e-3)
        y = (y - y.mean(around)) / np.sqrt(y.var(around) + epsilon)
        wanted = np.moveaxis(y * gamma + beta * biased, -1, axis)
        for got in (model(x), model.predict(x, verbose=0)):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
        self.assertLen(model.trainable_weights, 1 + biased)
        self.assertLen(model.losses, "beta_regularizer" in settings)
        self.assertIn("a: statistics of the batch by ops", builder.notes)

    @parameterized.parameters(
        (NORM, (True, None)),
        (NORM, (True, False)),
        (inside(NORM), (True,)),
        (layer("BatchNormalization", name="a", scale=False), (True,)),
        (layer("BatchNormalization", name="a", axis=[1, 2]), (True,)),
    )
    def test_statistics_of_some_batches_are_refused(self, entry, calls):
        shape = (4, 4) if len(entry["config"].get("axis", ())) > 1 else (4,)
        with self.assertRaisesRegex(ValueError, "training=True"):
            building.Builder().model(functional(shape, entry, *calls))

    @parameterized.parameters(
        (NORM, False),
        (inside(NORM), False),
        (inside(inside(DROPOUT)), True),
        (DROPOUT, True),
        (layer("Asking", name="a"), False),
        (layer("LSTM", name="a", units=2, dropout=0.5), True),
        (
            layer(
                "Bidirectional",
                name="a",
                layer=layer("GRU", name="b", units=2, recurrent_dropout=0.5),
            ),
            False,
        ),
    )
    def test_what_keras_3_does_not_keep_is_told(self, entry, training):
        recurrent = entry["class_name"] in ("LSTM", "Bidirectional")
        shape = (3, 4) if recurrent else (4,)
        builder = building.Builder()
        with keras.saving.custom_object_scope({"Asking": Asking}):
            builder.model(functional(shape, entry, training))
        name = entry["config"]["name"]
        note = f"{name}: without training={training} of its calls"
        self.assertEqual(builder.notes[0], note)

    @parameterized.parameters(
        (layer("Dense", name="a", units=2), True),
        (inside(layer("Dense", name="a", units=2)), False),
        (layer("Dropout", name="a", rate=0.0), True),
        (layer("BatchNormalization", name="a", trainable=False), True),
        (layer("ThresholdedReLU", name="a"), True),
        (DROPOUT, None),
    )
    def test_what_makes_no_difference_is_not(self, entry, training):
        builder = building.Builder()
        (model,) = builder.model(functional((4,), entry, training)).layers
        self.assertNotRegex("; ".join(builder.notes), "training")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model(keras.ops.ones((2, 4)))


if __name__ == "__main__":
    absltest.main()
