"""Losses and metrics at work on outputs."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.pipeline.request import sources
from tfprune.pipeline.request import task as task_lib
from tfprune_test.pipeline import small_tasks

LOGITS = np.array([[2.0, 0, 0], [0, 3, 0], [0, 0, 1], [1, 0, 0]], "float32")
LABELS = np.array([0, 1, 0, 0])

NAMES = "one", "other"


def identity(units=3, **compiling):
    inputs = keras.Input((units,))
    outputs = keras.layers.Activation("linear", name="out")(inputs)
    model = keras.Model(inputs, outputs)
    if compiling:
        model.compile(**compiling)
    return model


def padded():
    """Scores for each step of a sequence, of which zeros are left out."""
    inputs = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(9, 4, mask_zero=True)(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, name="steps")(x))


def of(model, y=LABELS, **kwargs):
    return task_lib.Task(model, (LOGITS, y, None), **kwargs)


def _distance(y, outputs):
    return keras.ops.mean(keras.ops.abs(y - outputs), -1)


def _mean_distance(y, outputs):
    return keras.ops.mean(keras.ops.abs(y - outputs))


class TaskTest(parameterized.TestCase):
    def test_metrics_are_those_of_evaluate(self):
        net = small_tasks.two_heads()
        x, y, weights = small_tasks.two_heads_data(50, 0)
        data = sources.Source((x, y, weights), "validation", net)
        task = task_lib.Task(net, (x, y, weights))
        found = task.evaluate(net.predict_on_batch, data)
        expected = net.evaluate(
            x,
            y,
            sample_weight=weights,
            batch_size=256,
            verbose=0,
            return_dict=True,
        )
        self.assertCountEqual(found, expected)
        for name, value in expected.items():
            self.assertAlmostEqual(found[name], value, 4, name)

    @parameterized.parameters(False, True)
    def test_steps_that_are_masked_do_not_count(self, nested):
        net = padded()
        if nested:
            net = keras.Sequential(
                [keras.Input((6,), dtype="int32"), net, keras.layers.ReLU()]
            )
        net.compile(
            loss=_cross_entropy(),
            metrics=["accuracy"],
            weighted_metrics=[keras.metrics.SparseTopKCategoricalAccuracy(2)],
        )
        rng = np.random.default_rng(0)
        x = rng.integers(1, 9, (20, 6)) * (np.arange(6) < [[2]] * 20)
        y = rng.integers(0, 3, (20, 6))
        for weights in ((), (rng.uniform(size=(20, 6)),)):
            data = sources.Source((x, y, *weights), "validation", net)
            task = task_lib.Task(net, (x, y, *weights, None)[:3])
            found = task.evaluate(net.predict_on_batch, data)
            expected = net.evaluate(*(x, y, 256, 0, *weights), return_dict=True)
            self.assertCountEqual(found, expected)
            for name, value in expected.items():
                self.assertAlmostEqual(found[name], value, 5, name)

    @parameterized.parameters(False, True)
    def test_outputs_whose_names_no_layers_may_have(self, once):
        inputs = keras.Input((3,))
        outputs = keras.layers.Dense(3, name="a")(inputs)
        packed, y = [outputs] * 2, [LABELS] * 2
        if once:
            packed = {"a/b": outputs, "a_b": keras.layers.Dense(3)(inputs)}
            y = dict.fromkeys(packed, LABELS)
        net = keras.Model(inputs, packed)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        net.compile(
            loss=keras.tree.map_structure(lambda _: loss, y),
            metrics=keras.tree.map_structure(lambda _: "accuracy", y),
        )
        data = sources.Source((LOGITS, y), "validation", net)
        found = of(net, y).evaluate(net.predict_on_batch, data)
        expected = net.evaluate(LOGITS, y, verbose=0, return_dict=True)
        self.assertAlmostEqual(found["loss"], expected["loss"], places=5)
        for name in expected if once else ():
            self.assertAlmostEqual(found[name], expected[name], places=5)

    def test_metrics_of_several_batches_are_those_of_all(self):
        net = identity(loss=_cross_entropy(), metrics=["accuracy"])
        data = sources.Source((LOGITS, LABELS), "validation", net)
        task = of(net)
        data.batches = lambda limit=None: iter(
            [(LOGITS[:3], LABELS[:3], None), (LOGITS[3:], LABELS[3:], None)]
        )
        for _ in range(2):  # nothing is left of the first time
            found = task.evaluate(lambda x: x, data)
            self.assertAlmostEqual(found["accuracy"], 0.75, 6)

    @parameterized.parameters("mae", _mean_distance)
    def test_batches_of_different_lengths_are_refused(self, monitor):
        inputs = keras.Input((None, 3))
        model = keras.Model(inputs, keras.layers.Activation("relu")(inputs))
        batches = [(np.ones((2, n, 3), "float32"),) * 2 for n in (4, 6)]
        data = sources.Source(batches, "validation", model)
        task = task_lib.Task(
            model,
            (*batches[0], None),
            **{"loss": "mse", "metrics": ["mae"]},
            **{"monitor": monitor, "mode": "min"},
        )
        with self.assertRaisesRegex(ValueError, r"\(4, 3\), \(6, 3\)"):
            task.evaluate(model.predict_on_batch, data)

    def test_metrics_of_a_users_own_need_no_registration(self):
        def own_accuracy(y, scores):
            return keras.metrics.sparse_categorical_accuracy(y, scores)

        class OwnAccuracy(keras.metrics.SparseCategoricalAccuracy):
            pass

        metrics = [own_accuracy, OwnAccuracy(name="second_accuracy")]
        compiled = identity(loss=_cross_entropy(), metrics=metrics)
        for task in (
            of(compiled),
            of(identity(loss=_cross_entropy()), metrics=metrics),
        ):
            self.assertEqual(task.monitor, "own_accuracy")
            data = sources.Source((LOGITS, LABELS), "validation", compiled)
            found = task.evaluate(lambda x: x, data)
            self.assertAlmostEqual(found["own_accuracy"], 0.75, 6)
            self.assertAlmostEqual(found["second_accuracy"], 0.75, 6)
            # A metric of its own for each model that is compiled.
            _, own = task.compiling()["metrics"]
            self.assertIsInstance(own, OwnAccuracy)
            self.assertIsNot(own, metrics[1])

    def test_the_first_metric_is_watched(self):
        net = identity(loss=_cross_entropy(), metrics=["accuracy"])
        task = of(net)
        self.assertEqual((task.monitor, task.larger), ("accuracy", True))
        self.assertEqual(task.gain({"accuracy": 0.5}), 0.5)
        for names in (["mse", "mae"], ["mae", "mse"]):
            self.assertEqual(
                of(identity(), LOGITS, loss="mse", metrics=names).monitor,
                names[0],
            )
        task = of(net, monitor="val_loss")
        self.assertEqual((task.monitor, task.larger), ("loss", False))
        self.assertEqual(task.gain({"loss": 0.5}), -0.5)
        self.assertEqual(task.gain({"loss": np.nan}), -np.inf)

    def test_what_is_neither_a_name_nor_a_function_is_not_watched(self):
        net = identity(loss=_cross_entropy(), metrics=["accuracy"])
        for monitor in (keras.metrics.AUC(), 3):
            with self.assertRaisesRegex(ValueError, "monitor=.*metrics="):
                of(net, monitor=monitor)

    def test_a_name_that_tells_nothing_wants_a_mode(self):
        def closeness(y, outputs):
            return keras.ops.mean(outputs)

        net = identity(loss=_cross_entropy(), metrics=[closeness])
        with self.assertRaisesRegex(ValueError, "'closeness', mode='auto'"):
            of(net, loss=_cross_entropy(), metrics=[closeness])
        task = of(net, loss=_cross_entropy(), metrics=[closeness], mode="min")
        self.assertFalse(task.larger)

    @parameterized.parameters(
        ("glossy_accuracy", True),
        ("accuracy_loss", False),
        ("mean_io_u", True),
        ("prc", True),
        ("r2_score", True),
        ("error_2", False),
        ("sparse_categorical_crossentropy", False),
        ("kl_divergence", False),
        ("FalseNegatives", False),
        ("acc_error2", False),
        ("top5_acc", True),
        ("mean_of_accuracies", True),
        ("accs", True),
        ("inaccuracies", False),
        ("Hits", True),
        ("dissimilarity", False),
        ("jaccard_index", True),
    )
    def test_the_last_word_of_a_name_tells(self, name, larger):
        metric = keras.metrics.MeanMetricWrapper(_mean_distance, name)
        given = {"loss": "mse", "metrics": [metric], "monitor": name}
        self.assertEqual(of(identity(), LOGITS, **given).larger, larger)

    @parameterized.parameters(
        *("accel_deviation", "accumulated", "jaccard_distance", "diff1"),
        *("white_noise", "err2"),
    )
    def test_a_word_inside_another_one_tells_nothing(self, name):
        metric = keras.metrics.MeanMetricWrapper(_mean_distance, name)
        with self.assertRaisesRegex(ValueError, "Pass mode="):
            of(identity(), LOGITS, loss="mse", metrics=[metric], monitor=name)

    def test_the_name_of_an_output_does_not(self):
        inputs = keras.Input((3,))
        net = keras.Model(
            inputs,
            [
                keras.layers.Activation("linear", name=name)(inputs)
                for name in ("error", "error_kind")
            ],
        )
        net.compile(loss=[_cross_entropy(), _cross_entropy()])
        y = [LABELS, LABELS]
        hits = keras.metrics.SparseCategoricalAccuracy("hits")
        task = of(net, y, metrics=[[], [hits]])
        self.assertEqual((task.monitor, task.larger), ("error_kind_hits", True))
        closeness = keras.metrics.MeanMetricWrapper(_mean_distance, "closeness")
        with self.assertRaisesRegex(ValueError, "'error_kind_closeness', mode"):
            of(net, [LOGITS, LOGITS], loss="mse", metrics=[[], [closeness]])

    def test_metrics_of_each_class_are_left_out(self):
        y = np.eye(3, dtype="float32")[LABELS]
        metrics = [keras.metrics.F1Score(), "accuracy"]
        given = {"loss": "categorical_crossentropy", "metrics": metrics}
        task = of(identity(), y, **given)
        self.assertEqual(task.monitor, "accuracy")
        data = sources.Source((LOGITS, y), "validation", identity())
        found = task.evaluate(lambda x: x, data)
        self.assertCountEqual(found, ["loss", "accuracy"])
        with self.assertRaisesRegex(ValueError, "must be a number"):
            of(identity(), y, monitor="f1_score", **given)

    @parameterized.named_parameters(
        ("classes", LABELS, "SparseCategoricalCrossentropy", "accuracy"),
        ("numbers", LOGITS * 1.5, "MeanSquaredError", "mae"),
    )
    def test_a_model_that_is_not_compiled(self, y, loss, monitor):
        task = of(identity(), y)
        self.assertTrue(task.guessed)
        self.assertEqual(type(task.loss).__name__, loss)
        self.assertEqual(task.monitor, monitor)

    @parameterized.product(units=(1, 3), ended=(True, False))
    def test_a_guess_sees_probabilities_behind_other_layers(self, units, ended):
        layers = keras.layers
        last = "sigmoid" if units == 1 else "softmax"
        net = keras.Sequential(
            [
                keras.Input((2,)),
                layers.Dense(units, last if ended else None),
                layers.Reshape((units,)),
                layers.Activation("linear", dtype="float32"),
            ]
        )
        y = np.array([[0], [1], [1], [0]])
        y = y if units == 1 else y[:, 0]
        task = task_lib.Task(net, (np.zeros((4, 2)), y, None))
        self.assertNotEqual(task.outputs[0].is_logits, ended)

    def test_given_losses_and_metrics_win(self):
        net = identity(loss=_cross_entropy(), metrics=["accuracy"])
        task = of(net, LOGITS, loss="mse", metrics=["mae"])
        self.assertEqual(task.monitor, "mae")
        self.assertEqual([each.kind for each in task.outputs], ["numbers"])

    @parameterized.parameters(
        ("sparse_categorical_crossentropy", "sparse", False),
        (keras.losses.CategoricalCrossentropy(True), "categorical", True),
        (keras.losses.BinaryCrossentropy(), "binary", False),
        ("mae", "numbers", False),
    )
    def test_what_an_output_holds(self, loss, kind, logits):
        (found,) = task_lib.outputs_of(identity(), LABELS, loss)
        self.assertEqual((found.kind, found.is_logits), (kind, logits))

    def test_scores_leave_out_masked_steps(self):
        inputs = keras.Input((2, 1))
        net = keras.Model(inputs, keras.layers.Identity()(inputs))
        y = np.zeros((3, 2, 1))
        task = task_lib.Task(net, (y, y, None), "mse")
        outputs = np.array([[[1.0], [3]], [[5], [7]], [[9], [9]]])
        mask = np.array([[True, False], [True, True], [False, False]])
        found = task.scores(y, outputs, [mask])
        np.testing.assert_allclose(found, [-1, -(25 + 49) / 2, 0])
        np.testing.assert_allclose(task.scores(y, outputs)[0], -5)

    @parameterized.parameters(
        ([3.0, 0.1],),
        ({"one": 3.0, "other": 0.1},),
        ([3.0, None],),
        ({"one": 3.0, "other": None},),
        (None,),
    )
    def test_scores_weigh_the_losses_as_training_does(self, weights):
        inputs = keras.Input((1,))
        net = keras.Model(
            inputs,
            [keras.layers.Identity(name=name)(inputs) for name in NAMES],
        )
        net.compile(loss=["mse", "mae"], loss_weights=weights)
        x = np.array([[1.0], [2.0], [4.0]], "float32")
        y = [x + 1, x - 2]
        task = task_lib.Task(net, (x, y, None))
        expected = net.evaluate(x, y, return_dict=True, verbose=0)["loss"]
        found = task.scores(y, [x, x])
        np.testing.assert_allclose(found, [-expected] * 3, rtol=1e-6)
        # Other losses are not those that the weights were given for.
        task = task_lib.Task(net, (x, y, None), loss=["mse", "mae"])
        np.testing.assert_allclose(task.scores(y, [x, x]), -3)

    def test_scores_are_minus_the_loss_of_each_sample(self):
        task = of(identity(loss=_cross_entropy(), metrics=["accuracy"]))
        chances = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
        expected = np.log(chances[np.arange(4), LABELS])
        np.testing.assert_allclose(
            task.scores(LABELS, LOGITS), expected, rtol=1e-5
        )

    @parameterized.named_parameters(
        ("name", "binary_crossentropy", "int64"),
        ("function", _distance, "float32"),
        ("one number for all", _mean_distance, "float32"),
        ("object", keras.losses.BinaryCrossentropy(), "int64"),
    )
    def test_scores_of_targets_without_the_last_axis(self, loss, dtype):
        outputs = np.array([[0.9], [0.2], [0.6]], "float32")
        y = np.array([1, 0, 0]).astype(dtype)
        task = task_lib.Task(
            identity(1), (outputs, y, None), loss=loss, monitor="loss"
        )
        found = task.scores(y, outputs)
        self.assertEqual(found.shape, (3,))
        np.testing.assert_allclose(found, task.scores(y[:, None], outputs))
        net = identity(1, loss=loss)
        expected = net.evaluate(outputs, y, verbose=0)
        self.assertAlmostEqual(-found.mean(), expected, 5)


def _cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class TitleTest(parameterized.TestCase):
    @parameterized.parameters(
        ("mse", "'mse'"),
        (_mean_distance, "_mean_distance"),
        ({"a": "mse", "b": None}, "a: 'mse', b: None"),
        (["mse", _mean_distance], "'mse', _mean_distance"),
    )
    def test_losses_are_told_by_output(self, loss, text):
        self.assertEqual(task_lib.title(loss), text)


class LabelModeTest(parameterized.TestCase):
    @parameterized.parameters(
        (3, _cross_entropy, "int"),
        (3, None, "int"),
        (3, lambda: _mean_distance, "int"),
        (3, lambda: "categorical_crossentropy", "categorical"),
        (3, lambda: "binary_crossentropy", "categorical"),
        (3, lambda: "mse", "categorical"),
        (1, lambda: "binary_crossentropy", "binary"),
        (1, lambda: "hinge", "binary"),
        (1, None, "binary"),
    )
    def test_folders_are_written_as_the_loss_reads_them(
        self, units, loss, mode
    ):
        net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
        self.assertEqual(task_lib.label_mode(net, loss and loss()), mode)

    def test_maps_have_no_label_of_a_folder(self):
        net = keras.Sequential(
            [keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 1)]
        )
        self.assertEqual(task_lib.label_mode(net, "mse"), "int")


if __name__ == "__main__":
    absltest.main()
