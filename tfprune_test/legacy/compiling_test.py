import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy import building
from tfprune.legacy import compiling


def wrapped(fn, kind="LossFunctionWrapper"):
    return {"class_name": kind, "config": {"fn": fn, "name": fn}}


class OptimizerTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.lost = []

    def optimizer(self, kind, **config):
        return compiling._optimizer(
            {"class_name": kind, "config": config}, self.lost
        )

    def test_old_names_of_settings(self):
        found = self.optimizer("Adam", lr=0.25, beta1=0.5, name="Adam")
        self.assertIsInstance(found, keras.optimizers.Adam)
        self.assertEqual(float(found.learning_rate), 0.25)
        self.assertEqual(found.beta_1, 0.5)

    def test_averages_and_limits_of_all_gradients(self):
        settings = {
            "global_clipnorm": 2.0,
            "use_ema": True,
            "ema_momentum": 0.5,
            "ema_overwrite_frequency": 10,
        }
        config = self.optimizer("AdamW", **settings).get_config()
        self.assertEqual({key: config[key] for key in settings}, settings)

    def test_penalties_of_an_optimizer(self):
        settings = {
            f"{kind}_regularization_strength": number
            for kind, number in (
                ("l1", 0.1),
                ("l2", 0.2),
                ("l2_shrinkage", 0.3),
            )
        }
        config = self.optimizer("Ftrl", **settings).get_config()
        self.assertEqual({key: config[key] for key in settings}, settings)

    def test_steps_and_limits_of_adafactor(self):
        settings = {
            "beta_2_decay": -0.7,
            "clip_threshold": 2.0,
            "epsilon_1": 0.1,
            "epsilon_2": 0.2,
            "relative_step": False,
        }
        config = self.optimizer("Adafactor", **settings).get_config()
        self.assertEqual({key: config[key] for key in settings}, settings)

    def test_a_weight_decay_that_does_not_follow_the_rate(self):
        settings = {"learning_rate": 0.01, "weight_decay": 0.001}
        found = self.optimizer("Addons>AdamW", **settings)
        self.assertAlmostEqual(found.weight_decay, 0.1)
        self.assertEmpty(self.lost)
        own = self.optimizer("Custom>AdamW", **settings)
        self.assertEqual(own.weight_decay, 0.001)
        self.optimizer("Addons>AdamW", decay=0.5, **settings)
        self.assertRegex(self.lost[0], "without weight_decay")

    def test_one_of_two_limits_on_gradients_stays(self):
        found = self.optimizer("RMSprop", lr=0.25, clipvalue=0.5, clipnorm=1.0)
        self.assertEqual(found.clipnorm, 1)
        self.assertIsNone(found.clipvalue)
        self.assertEqual(float(found.learning_rate), 0.25)
        (lost,) = self.lost
        self.assertRegex(lost, "without clipvalue")

    def test_decay_becomes_a_schedule(self):
        found = self.optimizer("Custom>SGD", lr=0.5, decay=0.1)
        config = found.get_config()["learning_rate"]["config"]
        self.assertEqual(config["initial_learning_rate"], 0.5)
        self.assertEqual(config["decay_rate"], 0.1)

    @parameterized.parameters(
        ("LossScaleOptimizer", "inner_optimizer"),
        ("LossScaleOptimizerV3", "inner_optimizer"),
        ("LossScaleOptimizer", "optimizer"),
    )
    def test_the_optimizer_of_half_precision(self, kind, key):
        inner = {"class_name": "Adam", "config": {"learning_rate": 0.25}}
        if key == "optimizer":
            scale = {"initial_loss_scale": 8.0, "increment_period": 5}
            scale = {"class_name": "DynamicLossScale", "config": scale}
            more = {"loss_scale": scale}
        else:
            more = {"initial_scale": 8.0, "dynamic_growth_steps": 5}
            more["dynamic"] = True
        found = self.optimizer(kind, **{key: inner}, **more)
        self.assertIsInstance(found, keras.optimizers.LossScaleOptimizer)
        self.assertIsInstance(found.inner_optimizer, keras.optimizers.Adam)
        self.assertEqual(float(found.learning_rate), 0.25)
        config = found.get_config()
        self.assertEqual(config["initial_scale"], 8)
        self.assertEqual(config["dynamic_growth_steps"], 5)

    @parameterized.parameters(
        {"inner_optimizer": None, "dynamic": False, "initial_scale": 8.0},
        {
            "optimizer": None,
            "loss_scale": {
                "class_name": "FixedLossScale",
                "config": {"loss_scale_value": 8.0},
            },
        },
    )
    def test_a_fixed_scale_of_half_precision(self, **config):
        inner = {"class_name": "Adam", "config": {"learning_rate": 0.25}}
        config = {k: inner if v is None else v for k, v in config.items()}
        found = self.optimizer("LossScaleOptimizer", **config)
        self.assertIsInstance(found, keras.optimizers.Adam)
        self.assertEqual(found.loss_scale_factor, 8)

    def test_a_schedule_without_a_name_computes(self):
        rate = {
            "class_name": "PiecewiseConstantDecay",
            "config": {"boundaries": [1], "values": [0.5, 0.1], "name": None},
        }
        found = self.optimizer("Adam", learning_rate=rate)
        self.assertEqual(float(found.learning_rate), 0.5)

    def test_a_schedule(self):
        rate = {
            "class_name": "ExponentialDecay",
            "config": {
                "initial_learning_rate": 0.1,
                "decay_steps": 10,
                "decay_rate": 0.5,
            },
        }
        found = self.optimizer("SGD", learning_rate=rate, momentum=0.9)
        config = found.get_config()
        self.assertEqual(
            config["learning_rate"]["class_name"], "ExponentialDecay"
        )
        self.assertEqual(config["momentum"], 0.9)


class LossTest(parameterized.TestCase):
    @parameterized.parameters(
        ("cosine_proximity", "cosine_similarity"),
        ("mse", "mean_squared_error"),
        (wrapped("kld"), "kl_divergence"),
        ({"class_name": "function", "config": "logcosh"}, "log_cosh"),
    )
    def test_functions(self, value, expected):
        self.assertEqual(compiling._loss(value).__name__, expected)

    def test_a_class_with_its_settings(self):
        found = compiling._loss(
            {
                "class_name": "BinaryCrossentropy",
                "config": {"from_logits": True, "reduction": "auto", "fn": 0},
            }
        )
        self.assertIsInstance(found, keras.losses.BinaryCrossentropy)
        self.assertTrue(found.from_logits)
        self.assertEqual(found.reduction, "sum_over_batch_size")

    def test_a_function_keeps_its_arguments(self):
        y, outputs = np.array([[0.0], [1.0]]), np.array([[3.0], [-1.0]])
        for fn, settings in (
            ("huber", {"delta": 0.25}),
            ("binary_crossentropy", {"from_logits": True, "axis": -1}),
        ):
            value = wrapped(fn)
            value["config"] |= {"reduction": "auto", **settings}
            found = compiling._loss(value)(y, outputs)
            each = getattr(keras.losses, fn)(y, outputs, **settings)
            self.assertAlmostEqual(float(found), float(np.mean(each)), places=5)
        value = wrapped("my_own_loss")
        value["config"]["scale"] = 2
        with self.assertRaises(ValueError):
            compiling._loss(value)


class CompileTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        inputs = keras.Input((2,))
        self.model = keras.Model(inputs, keras.layers.Dense(2)(inputs))

    def compiled(self, **training):
        sgd = {"class_name": "SGD", "config": {"lr": 0.1}}
        return compiling.compile_as_before(
            self.model, {"optimizer_config": sgd, "loss": "mse"} | training
        )

    def test_everything_that_is_known(self):
        lost = self.compiled(
            metrics=["accuracy", wrapped("mae", "MeanMetricWrapper")]
        )
        self.assertEmpty(lost)
        self.assertTrue(self.model.compiled)

    def test_a_metric_that_is_not_known_is_told(self):
        lost = self.compiled(metrics=["mae", "odd_metric"])
        self.assertEqual(
            lost,
            ["compiled without its metric 'odd_metric', which is not known"],
        )

    def test_log_cosh_is_a_metric_of_another_name(self):
        for metric in (
            "logcosh",
            "log_cosh",
            wrapped("logcosh", "MeanMetricWrapper"),
            {"class_name": "LogCoshError", "config": {"name": "logcosh"}},
        ):
            lost = self.compiled(metrics=[metric])
            self.assertEmpty(lost)
            name = "log_cosh" if metric == "log_cosh" else "logcosh"
            self.assertIn(name, self.evaluated())

    def test_old_names_of_metrics_stay(self):
        for name in ("cosine_proximity", "kld"):
            self.assertEmpty(self.compiled(metrics=[name]))
            self.assertIn(name, self.evaluated())

    def test_functions_in_a_metric_keep_their_arguments(self):
        function = {"class_name": "function", "config": "cosine_similarity"}
        for fn in ("cosine_similarity", function):
            metric = wrapped(fn, "MeanMetricWrapper")
            metric["config"] |= {"name": "likeness", "axis": 0}
            self.assertEmpty(self.compiled(metrics=[metric]))
            x, y = np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]])
            found = self.model.evaluate(x, y, verbose=0, return_dict=True)
            expected = -keras.losses.cosine_similarity(y, self.model(x), 0)
            self.assertAlmostEqual(
                found["likeness"], float(np.mean(expected)), places=5
            )

    def test_a_crossentropy_is_that_of_the_labels(self):
        y = np.array([0, 1, 1])
        inputs = keras.Input((2,))
        two = keras.layers.Dense(2, "softmax", name="two")(inputs)
        one = keras.layers.Dense(1, "sigmoid", name="one")(inputs)
        for outputs, loss, labels in (
            (two, "sparse_categorical_crossentropy", y),
            (two, "categorical_crossentropy", np.eye(2)[y]),
            (one, "binary_crossentropy", y[:, None]),
        ):
            self.model = keras.Model(inputs, outputs)
            self.assertEmpty(self.compiled(loss=loss, metrics=["ce"]))
            found = self.model.evaluate(
                np.eye(3)[:, :2], labels, verbose=0, return_dict=True
            )
            self.assertAlmostEqual(found["ce"], found["loss"], places=5)
        self.model = keras.Model(inputs, [two, one])
        losses = ["sparse_categorical_crossentropy", "binary_crossentropy"]
        self.compiled(loss=losses, metrics=["crossentropy"])
        found = self.model.evaluate(
            np.ones((3, 2)), [y, y[:, None]], verbose=0, return_dict=True
        )
        for name in ("one", "two"):
            self.assertAlmostEqual(
                found[f"{name}_crossentropy"], found[f"{name}_loss"], places=5
            )

    def test_a_sequential_model_has_no_name_of_its_output(self):
        self.model = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(2, "softmax", name="out")]
        )
        loss = "sparse_categorical_crossentropy"
        for given in (
            {"loss": loss, "metrics": {"out": ["ce"]}},
            {"loss": {"out": loss}, "metrics": {"out": "ce"}},
            {"loss": {"out": loss}, "metrics": ["ce"]},
        ):
            lost = self.compiled(**given, loss_weights={"out": 2})
            self.assertEmpty(lost)
            found = self.model.evaluate(
                np.eye(2), np.array([0, 1]), verbose=0, return_dict=True
            )
            self.assertAlmostEqual(2 * found["ce"], found["loss"], places=5)

    def test_a_metric_of_the_user(self):
        def score(y, p):
            return p - y

        with keras.saving.custom_object_scope({"score": score}):
            lost = self.compiled(
                metrics=[wrapped("score", "MeanMetricWrapper")]
            )
        self.assertEmpty(lost)
        self.assertIn("score", self.evaluated())

    def test_weights_of_one_loss_for_all_outputs(self):
        inputs = keras.Input((2,))
        outputs = [keras.layers.Dense(2, name=name)(inputs) for name in "ab"]
        x, y = np.ones((3, 2)), [np.zeros((3, 2)), np.zeros((3, 2))]
        for weights in ({"a": 3.0}, {"a": 3.0, "b": 1.0}, [3.0, 1.0]):
            self.model = keras.Model(inputs, outputs)
            self.compiled(loss_weights=weights)
            a, b = (np.square(part).mean() for part in self.model(x))
            found = self.model.evaluate(x, y, verbose=0, return_dict=True)
            self.assertAlmostEqual(found["loss"], 3 * a + b, places=4)

    def test_metrics_of_several_outputs(self):
        inputs = keras.Input((2,))
        outputs = [keras.layers.Dense(2, name=name)(inputs) for name in "ab"]
        for metrics in (
            # As an archive has them: Keras 2 takes each for each output.
            ["mae", "mse"],
            # As the other formats have them, with the output in the name.
            [
                [
                    {
                        "class_name": "MeanMetricWrapper",
                        "config": {"fn": fn, "name": f"{output}_{fn}"},
                    }
                    for fn in ("mae", "mse")
                ]
                for output in "ab"
            ],
        ):
            self.model = keras.Model(inputs, outputs)
            self.assertEmpty(self.compiled(metrics=metrics))
            names = {
                f"{output}_{fn}" for output in "ab" for fn in ("mae", "mse")
            }
            self.assertEqual(
                self.evaluated(2), {"loss", "a_loss", "b_loss", *names}
            )

    def test_outputs_that_have_other_names_in_the_file(self):
        inputs = keras.Input((2,))
        outputs = [keras.layers.Dense(2, name=n)(inputs) for n in ("a_1", "b")]
        self.model = keras.Model(inputs, outputs)
        config = {"class_name": "SGD", "config": {"lr": 0.1}}
        training = {
            "optimizer_config": config,
            "loss": {"a": "mse", "b": "mae"},
            "loss_weights": {"a": 2.0},
            "metrics": {"a": [wrapped("a_mae", "MeanMetricWrapper")]},
        }
        training["metrics"]["a"][0]["config"]["fn"] = "mae"
        lost = compiling.compile_as_before(self.model, training, ["a", "b"])
        self.assertEmpty(lost)
        self.assertContainsSubset({"loss", "a_1_mae"}, self.evaluated(2))

    def test_one_layer_that_gives_two_outputs(self):
        config = {"class_name": "SGD", "config": {"lr": 0.1}}
        metrics = {"d_1": [wrapped("d_1_mae", "MeanMetricWrapper")]}
        metrics["d_1"][0]["config"]["fn"] = "mae"
        for losses, weights in (
            ({"d": "mse", "d_1": "mae"}, {"d_1": 3.0}),
            ({"d_1": "mae"}, {"d": 1.0, "d_1": 3.0}),
        ):
            inputs = [keras.Input((2,)), keras.Input((2,))]
            layer = keras.layers.Dense(1, name="d")
            self.model = keras.Model(inputs, [layer(x) for x in inputs])
            training = {"optimizer_config": config, "loss": losses}
            training |= {"loss_weights": weights, "metrics": metrics}
            lost = compiling.compile_as_before(self.model, training, ["d"] * 2)
            self.assertEmpty(lost)
            x, y = [np.ones((3, 2)), -2 * np.ones((3, 2))], np.zeros((3, 1))
            a, b = self.model(x)
            a = np.square(a).mean() if "d" in losses else 0
            b = np.abs(b).mean()
            found = self.model.evaluate(x, [y, y], verbose=0, return_dict=True)
            self.assertAlmostEqual(found["loss"], a + 3 * b, places=4)
            self.assertAlmostEqual(found["d_mae"], b, places=4)

    def test_outputs_that_several_layers_give_have_their_old_names(self):
        shape = {"batch_input_shape": [None, 3, 3, 2]}
        conv = {"filters": 2, "kernel_size": [1, 1]}
        conv["data_format"] = "channels_first"
        entries = [
            {
                "class_name": kind,
                "name": name,
                "config": {"name": name, **settings},
                "inbound_nodes": before,
            }
            for kind, name, settings, before in (
                ("InputLayer", "i", shape, []),
                ("Conv2D", "a", conv, [[["i", 0, 0, {}]]]),
            )
        ]
        config = {"name": "m", "layers": entries}
        config["input_layers"] = [["i", 0, 0]]
        for outputs, ends in (
            ([["a", 0, 0]], ["a"]),
            (["a", 0, 0], ["a"]),
            # Keras 3 may have these in another order.
            ({"x": ["a", 0, 0]}, []),
        ):
            config["output_layers"] = outputs
            entry = {"class_name": "Functional", "config": config}
            found = building.Builder().model(entry)
            self.assertEqual(found.ends, ends)

    def test_outputs_without_a_loss_and_with_a_slash(self):
        inputs = keras.Input((2,))
        names = ("a_b", "c")
        outputs = [keras.layers.Dense(2, name=name)(inputs) for name in names]
        for more in ({}, {"loss_weights": {"a/b": 2.0}}):
            self.model = keras.Model(inputs, outputs)
            lost = self.compiled(
                loss={"a/b": "mse"}, metrics={"a/b": ["mae"]}, **more
            )
            self.assertEmpty(lost)
            found = self.evaluated(2)
            self.assertContainsSubset({"loss", "a_b_mae"}, found)

    def evaluated(self, outputs=1):
        """The names of what `evaluate` measures."""
        x = np.ones((3, 2))
        y = x if outputs == 1 else [x] * outputs
        return set(self.model.evaluate(x, y, verbose=0, return_dict=True))

    def test_a_loss_that_is_not_known_leaves_the_model_uncompiled(self):
        (lost,) = self.compiled(loss="odd_loss")
        self.assertStartsWith(lost, "not compiled, its loss")
        self.assertFalse(self.model.compiled)


if __name__ == "__main__":
    absltest.main()
