import keras
from absl.testing import absltest

from tfprune.graph import compile_state
from tfprune.methods import soft_threshold
from tfprune.sparsity import wrapping


class Share(keras.metrics.SparseCategoricalAccuracy):
    """A metric whose config does not tell all."""

    def __init__(self, power=1.0, **kwargs):
        super().__init__(**kwargs)
        self.power = power


class Descent(keras.optimizers.SGD):
    """An optimizer that is not registered."""


class Odd(keras.optimizers.SGD):
    """One that cannot be made from its config."""

    def __init__(self, needed):
        super().__init__(needed)


class OddMetric(keras.metrics.Mean):
    def __init__(self, needed, name="odd"):
        super().__init__(name=name)


class Teaching(keras.Model):
    """Has a `compile` of its own, with more arguments."""

    def compile(self, teacher=None, rate=1.0, **kwargs):
        super().compile(**kwargs)
        self.teacher, self.rate = teacher, rate


def my_loss(y, scores):
    return keras.losses.sparse_categorical_crossentropy(y, scores)


def model(cls=keras.Model):
    inputs = keras.Input((8,))
    return cls(inputs, keras.layers.Dense(3, "softmax", name="scores")(inputs))


def compiled_as(old, cls=keras.Model):
    new = model(cls)
    compile_state.compile_as(new, old)
    return new


class CompileAsTest(absltest.TestCase):
    def test_one_that_is_not_compiled(self):
        self.assertFalse(compiled_as(model()).compiled)

    def test_losses_are_shared_and_what_has_variables_is_made_anew(self):
        old = model()
        accuracy = keras.metrics.SparseCategoricalAccuracy(name="mine")
        old.compile(
            Descent(0.25),
            my_loss,
            metrics=[accuracy],
            weighted_metrics=[Share(name="share")],
            loss_weights=[0.5],
        )
        new = compiled_as(old)
        self.assertIs(type(new.optimizer), Descent)
        self.assertIsNot(new.optimizer, old.optimizer)
        self.assertEqual(float(new.optimizer.learning_rate), 0.25)
        self.assertIs(new.loss, my_loss)
        given = compile_state.arguments(new)
        self.assertIsNot(given["metrics"][0], accuracy)
        self.assertEqual(given["metrics"][0].name, "mine")
        self.assertEqual(given["loss_weights"], [0.5])
        self.assertIs(type(given["weighted_metrics"][0]), Share)

    def test_settings_that_a_config_leaves_out_stay(self):
        old = model()
        share = Share(power=2.0)
        old.compile("sgd", my_loss, metrics={"scores": share})
        new = compiled_as(old)
        new.compile(**compile_state.arguments(new))
        found = compile_state.arguments(new)["metrics"]["scores"]
        self.assertEqual(found.power, 2.0)
        self.assertIsNot(found, share)

    def test_a_rate_that_was_changed_stays(self):
        old = model()
        old.compile("sgd", "mse")
        old.optimizer.learning_rate = 0.125
        new = compiled_as(old)
        self.assertEqual(float(new.optimizer.learning_rate), 0.125)

    def test_the_new_optimizer_has_variables_of_the_new_model(self):
        old = model()
        old.compile(keras.optimizers.Adam(), "mse")
        new = compiled_as(old)
        self.assertTrue(new.optimizer.built)
        # Two moments of two variables, the step and the rate.
        self.assertLen(new.optimizer.variables, 6)

    def decayed(self, model):
        """The numbers of the variables that weight decay changes."""
        variables = model.trainable_variables
        for variable in variables:
            variable.assign(keras.ops.ones(variable.shape))
        zeros = [keras.ops.zeros(v.shape) for v in variables]
        model.optimizer.apply(zeros, variables)
        values = [float(keras.ops.max(v)) for v in variables]
        return [i for i, value in enumerate(values) if value < 1]

    def test_what_does_not_decay_is_the_same(self):
        for kind in ("one", "scaled", "several"):
            with self.subTest(kind=kind):
                inputs = keras.Input((4,))
                inner = keras.Sequential(
                    [keras.Input((4,)), keras.layers.Dense(4, name="a")]
                )
                x = keras.layers.Dense(4, name="a")(inner(inputs))
                old = keras.Model(inputs, keras.layers.Dense(3, name="b")(x))
                optimizer = keras.optimizers.SGD(0.1, weight_decay=0.5)
                optimizer.exclude_from_weight_decay(
                    [old.get_layer("a").kernel], ["bias"]
                )
                if kind == "scaled":
                    optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
                elif kind == "several":
                    if not hasattr(keras.optimizers, "MultiOptimizer"):
                        self.skipTest("Keras has no MultiOptimizer yet.")
                    optimizer = keras.optimizers.MultiOptimizer(
                        keras.optimizers.OptimizerMap(
                            keras.optimizers.SGD(0.1), {".*": optimizer}
                        )
                    )
                old.compile(optimizer, "mse")
                wrapped = wrapping.wrap(old, soft_threshold.SoftThreshold())
                self.assertLen(self.decayed(wrapped), 5)
                plain = wrapping.unwrap(wrapped, fold=False)
                self.assertEqual(self.decayed(plain), self.decayed(old))
                self.assertLen(self.decayed(old), 2)

    def test_an_optimizer_that_cannot_be_copied_is_named(self):
        old = model()
        old.compile(Odd(0.5), "mse")
        with self.assertWarnsRegex(
            UserWarning, f"copy of the optimizer of {old.name!r} .*get_config"
        ):
            self.assertFalse(compiled_as(old).compiled)
        self.assertTrue(old.compiled)

    def test_a_metric_that_cannot_be_copied_is_shared(self):
        old = model()
        odd = OddMetric(1)
        old.compile("sgd", "mse", metrics=[odd])
        new = compiled_as(old)
        self.assertIs(compile_state.arguments(new)["metrics"][0], odd)

    def test_what_a_compile_of_ones_own_keeps_goes_along(self):
        old, teacher = model(Teaching), model()
        old.compile(teacher, 0.5, optimizer="sgd", loss="mse")
        new = compiled_as(old, Teaching)
        self.assertIs(new.teacher, teacher)
        self.assertEqual(new.rate, 0.5)
        self.assertTrue(new.compiled)
        plain = compiled_as(old)
        self.assertFalse(hasattr(plain, "rate"))

    def test_the_old_one_is_not_changed(self):
        old = model()
        old.compile("sgd", "mse", metrics=["mae"])
        optimizer, given = old.optimizer, compile_state.arguments(old)
        new = compiled_as(old)
        new.compile("adam", "mae")
        self.assertIs(old.optimizer, optimizer)
        self.assertEqual(compile_state.arguments(old), given)


class ArgumentsTest(absltest.TestCase):
    def test_objects_are_as_they_were_given(self):
        old, optimizer = model(), Descent(0.5)
        old.compile(optimizer, my_loss)
        given = compile_state.arguments(old)
        self.assertIs(given["optimizer"], optimizer)
        self.assertIs(given["loss"], my_loss)
        given["loss"] = None  # The dict is a copy.
        self.assertIs(compile_state.arguments(old)["loss"], my_loss)

    def test_where_nothing_is_kept(self):
        self.assertIsNone(compile_state.arguments(model()))


class CustomObjectsTest(absltest.TestCase):
    def test_what_keras_does_not_know(self):
        found = compile_state.custom_objects(
            {
                "optimizer": Descent(0.1),
                "loss": {"a": my_loss, "b": "mse"},
                "metrics": [
                    Share(),
                    keras.metrics.MeanMetricWrapper(my_loss, name="own"),
                    keras.metrics.Mean(),
                    None,
                ],
            }
        )
        self.assertLessEqual({"Descent", "my_loss", "Share"}, set(found))
        self.assertIs(found["my_loss"], my_loss)
        self.assertIs(found["Share"], Share)
        self.assertNotIn("Mean", found)


if __name__ == "__main__":
    absltest.main()
