"""What every registered method must do. A new method joins by one line."""

import importlib
import os
import pkgutil

import keras
import numpy as np
from absl.testing import parameterized

import tfprune.methods
from tfprune import callback as callback_lib
from tfprune import method as method_lib
from tfprune import schedule as schedule_lib
from tfprune import wrapper as wrapper_lib
from tfprune import wrapping
from tfprune.methods import autoprune
from tfprune.methods import masked
from tfprune.methods import masked_channels
from tfprune.methods import rigl
from tfprune.methods import soft_threshold

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy

# The registered name, and a method with arguments of no particular value.
METHODS = {
    "autoprune": autoprune.AutoPrune(mu=1e-3),
    "autoprune_channels": autoprune.AutoPruneChannels(surrogate="softplus"),
    "masked": masked.Masked("n_m", gradient="straight_through", decay=1e-3),
    "masked_channels": masked_channels.MaskedChannels("l2", of="macs"),
    "rigl": rigl.RigL(drop=0.2, allocation="layer"),
    "soft_threshold": soft_threshold.SoftThreshold(-4.0, decay=1e-3),
    "soft_threshold_channels": soft_threshold.SoftThresholdChannels(-4.0),
}
SCHEDULED = {k: m for k, m in METHODS.items() if m.is_scheduled}


def net():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.SeparableConv2D(6, 3, activation="relu")(x)
    return keras.Model(
        inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    )


def wrapped(method, **compile_args):
    model = wrapping.wrap(net(), method)
    eager = keras.config.backend() == "tensorflow"
    compile_args.setdefault("run_eagerly", eager)
    model.compile(keras.optimizers.SGD(0.1), "mse", **compile_args)
    return model


def data(count=24):
    random = np.random.default_rng(0)
    x = random.normal(size=(count, 6, 6, 2)).astype("float32")
    return x, x[:, 0, :3, 0]


def outputs(model):
    return to_numpy(model(data()[0], training=False))


class ConformanceTest(parameterized.TestCase):
    def test_every_registered_method_has_a_line(self):
        for module in pkgutil.iter_modules(tfprune.methods.__path__):
            importlib.import_module(f"tfprune.methods.{module.name}")
        self.assertCountEqual(METHODS, method_lib.METHODS.names())
        for name, method in METHODS.items():
            self.assertIs(method_lib.METHODS.get(name), type(method))

    @parameterized.parameters(*METHODS)
    def test_it_is_plain_data(self, name):
        config = keras.saving.serialize_keras_object(METHODS[name])
        again = keras.saving.deserialize_keras_object(config)
        self.assertEqual(again, METHODS[name])
        with self.assertRaises(AttributeError):
            again.some_state = 1

    @parameterized.parameters(*METHODS)
    def test_training_lowers_the_loss_and_survives_a_file(self, name):
        model = wrapped(METHODS[name])
        callbacks = []
        if name in SCHEDULED:
            schedule = schedule_lib.Constant(0.25, begin=2, frequency=2)
            callbacks = [callback_lib.PruneOnSchedule(schedule)]
        fit = model.fit(
            *data(), batch_size=8, epochs=3, verbose=0, callbacks=callbacks
        )
        losses = fit.history["loss"]
        self.assertTrue(np.isfinite(losses).all())
        self.assertLess(losses[-1], losses[0])
        path = os.path.join(self.create_tempdir(), "model.keras")
        model.save(path)
        loaded = keras.saving.load_model(path)
        np.testing.assert_array_equal(outputs(model), outputs(loaded))
        self.assertEqual(
            wrapper_lib.groups(loaded)[0][0], METHODS[name], "the method"
        )

    @parameterized.parameters(*METHODS)
    def test_a_plain_model_with_folded_weights_is_equal(self, name):
        model = wrapped(METHODS[name])
        model.train_on_batch(*data())
        if name in SCHEDULED:
            callback_lib.prune_now(model, 0.5)
        plain = wrapping.unwrap(model)
        self.assertEmpty(wrapper_lib.find(plain))
        np.testing.assert_allclose(
            outputs(plain), outputs(model), rtol=1e-5, atol=1e-6
        )

    @parameterized.parameters(*METHODS)
    def test_scores_and_penalties_are_finite_and_not_negative(self, name):
        for method, slots in wrapper_lib.groups(wrapped(METHODS[name])):
            for slot in slots:
                scores = np.asarray(method.scores(slot))
                self.assertTrue(np.isfinite(scores).all())
                self.assertGreaterEqual(scores.min(), 0)
                if slot.name != method_lib.OUTPUTS:
                    self.assertEqual(scores.shape, slot.shape)
                penalty = method.penalty(slot)
                if penalty is not None:
                    self.assertTrue(0 <= float(penalty) < np.inf)

    @parameterized.parameters(*SCHEDULED)
    def test_a_schedule_prunes_when_several_steps_run_in_one_call(self, name):
        model = wrapped(
            METHODS[name], run_eagerly=False, steps_per_execution=3
        )
        pruning = callback_lib.PruneOnSchedule(schedule_lib.OneShot(0.5, 2))
        fit = model.fit(
            *data(), batch_size=4, verbose=0, callbacks=[pruning]
        )
        self.assertGreater(fit.history["sparsity"][0], 0.05)
        for wrapper in wrapper_lib.find(model):
            self.assertEqual(int(wrapper.updated), 3)

    @parameterized.parameters(*SCHEDULED)
    def test_before_pruning_nothing_changes(self, name):
        model = net()
        expected = outputs(model)
        found = wrapping.wrap(model, METHODS[name])
        np.testing.assert_array_equal(outputs(found), expected)
        callback_lib.prune_now(found, 0.0)
        np.testing.assert_array_equal(outputs(found), expected)
