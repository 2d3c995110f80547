"""What every registered method must do. A new method joins by one line."""

import importlib
import os
import pkgutil

import keras
import numpy as np
import pytest
from absl.testing import parameterized

import tfprune.methods
from tfprune.callbacks import prune_on_schedule as callback_lib
from tfprune.costs import counting
from tfprune.methods import autoprune
from tfprune.methods import bitpruning
from tfprune.methods import group_norm
from tfprune.methods import hard_concrete
from tfprune.methods import masked
from tfprune.methods import masked_channels
from tfprune.methods import pcas
from tfprune.methods import rigl
from tfprune.methods import slimming
from tfprune.methods import soft_threshold
from tfprune.schedules import schedule as schedule_lib
from tfprune.sparsity import chain
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import stripping

pytestmark = [pytest.mark.any_backend, pytest.mark.jax]

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy

# The registered name, and a method with arguments of no particular value.
# A plain layer reads its inputs as they are, so these stay as they are here.
BITS = bitpruning.BitPruning(0.1, activations=None, weighting="macs")
METHODS = {
    "attention_gate": pcas.AttentionGate(4, activation="shifted_tanh"),
    "autoprune": autoprune.AutoPrune(mu=1e-3),
    "autoprune_channels": autoprune.AutoPruneChannels(surrogate="softplus"),
    "bit_pruning": BITS,
    "chain": chain.Chain((masked.Masked(), BITS)),
    "group_sparsity": group_norm.GroupSparsity(1e-3),
    "hard_concrete": hard_concrete.HardConcrete(1e-3, seed=0),
    "masked": masked.Masked("n_m", gradient="straight_through", decay=1e-3),
    "masked_channels": masked_channels.MaskedChannels("l2", of="macs"),
    "rigl": rigl.RigL(drop=0.2, allocation="layer"),
    "slimming": slimming.Slimming(1e-3),
    "soft_threshold": soft_threshold.SoftThreshold(-4.0, decay=1e-3),
    "soft_threshold_channels": soft_threshold.SoftThresholdChannels(-4.0),
}
WHERE = {"slimming": wrapping.normalizations}
SCHEDULED = {k: m for k, m in METHODS.items() if m.is_scheduled}
# A penalty prepares for pruning, and makes no zeros itself.
PRUNING = [k for k in SCHEDULED if k != "group_sparsity"]
# Those that can take any fraction of the weights of each layer.
WEIGHTS = {
    "masked": masked.Masked(),
    "rigl": METHODS["rigl"],
    "chain": METHODS["chain"],
}
# No constant does what a gate does that looks at its input.
FOLDABLE = [k for k in METHODS if k != "attention_gate"]
# What is needed before a method can tell its scores.
MEASURED = {"attention_gate": pcas.measure}


def net():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.SeparableConv2D(6, 3, activation="relu")(x)
    return keras.Model(
        inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    )


def wrapped(name, **compile_args):
    where = WHERE.get(name, wrapping.kernels)
    model = wrapping.wrap(net(), METHODS[name], where=where)
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
    def test_it_learns_survives_a_file_and_folds_into_plain_weights(self, name):
        model = wrapped(name)
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
        for wrapper in wrapper_lib.find(loaded):
            self.assertEqual(wrapper.method, METHODS[name])
        if name in SCHEDULED:
            callback_lib.prune_now(model, 0.5)
        if name in FOLDABLE:
            plain = wrapping.unwrap(model)
            self.assertEmpty(wrapper_lib.find(plain))
            np.testing.assert_allclose(
                outputs(plain), outputs(model), rtol=1e-5, atol=1e-6
            )

    @parameterized.parameters(*METHODS)
    def test_scores_and_penalties_are_finite_and_not_negative(self, name):
        model = wrapped(name)
        MEASURED.get(name, lambda *_: None)(model, data()[0])
        for method, slots in wrapper_lib.groups(model):
            for slot in slots:
                scores = np.asarray(method.scores(slot))
                self.assertTrue(np.isfinite(scores).all())
                self.assertGreaterEqual(scores.min(), 0)
                if slot.name != method_lib.OUTPUTS:
                    self.assertEqual(scores.shape, slot.shape)
                penalty = method.penalty(slot)
                if penalty is not None:
                    self.assertTrue(0 <= float(penalty) < np.inf)

    @parameterized.parameters(*PRUNING)
    def test_a_schedule_prunes_when_several_steps_run_in_one_call(self, name):
        model = wrapped(name, run_eagerly=False, steps_per_execution=3)
        pruning = callback_lib.PruneOnSchedule(schedule_lib.OneShot(0.5, 2))
        fit = model.fit(*data(), batch_size=4, verbose=0, callbacks=[pruning])
        self.assertGreater(fit.history["sparsity"][0], 0.05)
        for wrapper in wrapper_lib.find(model):
            self.assertEqual(int(wrapper.updated), 3)

    @parameterized.parameters(*WEIGHTS)
    def test_the_fraction_of_weights_asked_for_is_the_one_that_goes(self, name):
        model = wrapping.wrap(net(), WEIGHTS[name])
        callback_lib.prune_now(model, 0.5)
        for wrapper in wrapper_lib.find(model):
            for values in wrapper.folded().values():
                zeros = np.count_nonzero(values == 0)
                self.assertEqual(zeros, values.size // 2)

    def test_the_fraction_of_channels_asked_for_is_the_one_that_goes(self):
        model = wrapping.wrap(net(), masked_channels.MaskedChannels())
        before = counting.cost(net()).channels
        callback_lib.prune_now(model, 0.5)
        after = counting.cost(stripping.strip(model)).channels
        self.assertEqual((before, after), (14, 7))

    @parameterized.parameters(*SCHEDULED)
    def test_before_pruning_nothing_changes(self, name):
        model = net()
        found = wrapping.wrap(
            model, METHODS[name], where=WHERE.get(name, wrapping.kernels)
        )
        if name == "chain":  # With 8 bits nothing changes much.
            expected = outputs(found)
            np.testing.assert_allclose(expected, outputs(model), atol=0.05)
        else:
            expected = outputs(model)
        np.testing.assert_array_equal(outputs(found), expected)
        callback_lib.prune_now(found, 0.0)
        np.testing.assert_array_equal(outputs(found), expected)
