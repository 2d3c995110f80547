import os

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.callbacks import backup as backup_lib
from tfprune.callbacks import prune_on_schedule
from tfprune.datasets import batches
from tfprune.methods import autoprune
from tfprune.methods import masked
from tfprune.methods import masked_channels
from tfprune.schedules import schedule
from tfprune.sparsity import chain
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.training import alternating
from tfprune_test import small_nets

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy


def scalar(w=2.0, m=0.5, mu=0.0, **kwargs):
    """`y = w * h(m) * x`, and its trainer."""
    net = keras.Sequential(
        [keras.Input((1,)), layers.Dense(1, use_bias=False, **kwargs)]
    )
    model = wrapping.wrap(net, autoprune.AutoPrune(mu=mu))
    (wrapper,) = wrapper_lib.find(model)
    slot = wrapper.slots["kernel"]
    slot.kernel.assign([[w]])
    slot["indicator"].assign([[m]])
    trainer = alternating.AlternatingModel(model, keras.optimizers.SGD(0.01))
    return trainer, slot


def compiled(trainer, **kwargs):
    trainer.compile(keras.optimizers.SGD(0.1), small_nets.mean_output, **kwargs)
    return trainer


def data(train, held_out, steps=1):
    """Batches of two samples each; `y` is not used by the loss."""
    x = [np.full((2, 1), value, "float32") for value in (train, held_out)]
    return alternating.Interleaved(
        [(x[0], x[0])] * steps, [(x[1], x[1])] * steps
    )


def net(dropout=0.0):
    inputs = keras.Input((4,))
    x = layers.Dense(8, use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dropout(dropout, seed=1)(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def regression(count=64):
    x = np.random.default_rng(0).normal(size=(count, 4)).astype("float32")
    return x, x[:, :2] * 2


def interleaved(size=8):
    x, y = regression()
    cuts = range(0, 48, size)
    return alternating.Interleaved(
        [(x[i : i + size], y[i : i + size]) for i in cuts], [(x[48:], y[48:])]
    )


class AlternatingModelTest(parameterized.TestCase):
    def test_weights_learn_from_one_part_indicators_from_the_other(self):
        trainer, slot = scalar(mu=0.5)
        compiled(trainer).fit(data(train=3.0, held_out=5.0), verbose=0)
        # w: 2 - 0.1 * dL/dw with dL/dw = 3. m: 0.5 - 0.01 * (5 + mu).
        np.testing.assert_allclose(slot.kernel, [[1.7]], rtol=1e-6)
        np.testing.assert_allclose(slot["indicator"], [[0.445]], rtol=1e-6)

    def test_regularizers_belong_to_the_turn_of_their_variable(self):
        trainer, slot = scalar(kernel_regularizer=keras.regularizers.L2(0.5))
        compiled(trainer).fit(data(0.0, 0.0), verbose=0)
        np.testing.assert_allclose(slot.kernel, [[1.8]], rtol=1e-6)
        np.testing.assert_allclose(slot["indicator"], [[0.5]], rtol=1e-6)

    def test_the_weight_decay_of_the_optimizer_spares_indicators(self):
        trainer, slot = scalar()
        trainer.compile(
            keras.optimizers.SGD(0.1, weight_decay=0.5), small_nets.mean_output
        )
        trainer.fit(data(0.0, 0.0), verbose=0)
        np.testing.assert_allclose(slot.kernel, [[1.9]], rtol=1e-6)
        np.testing.assert_allclose(slot["indicator"], [[0.5]], rtol=1e-6)

    @parameterized.parameters(
        {"steps_per_execution": 3},
        {"jit_compile": True},
        {"jit_compile": False},
    )
    def test_every_way_of_running_steps_is_the_same(self, **kwargs):
        trainer, slot = scalar(mu=0.5)
        compiled(trainer, **kwargs).fit(data(3.0, -5.0, 6), verbose=0)
        np.testing.assert_allclose(slot.kernel, [[0.2]], atol=1e-5)
        np.testing.assert_allclose(
            slot["indicator"], [[0.5 + 6 * 0.01 * 4.5]], rtol=1e-5
        )
        self.assertEqual(int(trainer.optimizer.iterations), 6)
        self.assertEqual(int(trainer.indicator_optimizer.iterations), 6)

    def trainer(self, dropout=0.0, **kwargs):
        keras.utils.set_random_seed(0)
        model = wrapping.wrap(net(dropout), autoprune.AutoPrune(mu=0.01))
        trainer = alternating.AlternatingModel(
            model, keras.optimizers.Adam(0.05)
        )
        trainer.compile(
            keras.optimizers.SGD(0.05, momentum=0.9),
            "mse",
            metrics=["mae"],
            **kwargs,
        )
        return trainer

    @pytest.mark.slow  # Trains for longer.
    def test_training_prunes_and_lowers_the_loss(self):
        trainer = self.trainer(dropout=0.1)
        history = trainer.fit(
            interleaved(),
            epochs=8,
            verbose=0,
            validation_data=regression(16),
        ).history
        self.assertLess(history["loss"][-1], 0.5 * history["loss"][0])
        self.assertIn("val_mae", history)
        self.assertGreater(wrapper_lib.sparsity(trainer), 0.02)
        self.assertEqual(
            wrapper_lib.sparsity(trainer), wrapper_lib.sparsity(trainer.model)
        )

    @pytest.mark.slow  # Trains twice.
    def test_training_ends_with_the_averages_of_indicators(self):
        trainer, slot = scalar()
        average = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
        averaged = alternating.AlternatingModel(trainer.model, average)
        start = float(slot["indicator"].value[0, 0])
        compiled(averaged).fit(data(1.0, 1.0), epochs=0, verbose=0)
        self.assertEqual(float(slot["indicator"].value[0, 0]), start)
        seen = []
        spy = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.append(
                float(to_numpy(slot["indicator"])[0, 0])
            )
        )
        feed = data(1.0, 1.0, steps=2)
        averaged.fit(feed, shuffle=False, verbose=0, callbacks=[spy])
        self.assertNotEqual(*seen)
        found = float(slot["indicator"].value[0, 0])
        self.assertAlmostEqual(found, sum(seen) / 2, places=6)

    def test_training_goes_on_from_a_file(self):
        path = os.path.join(self.create_tempdir(), "model.keras")
        trainer = self.trainer()
        trainer.fit(interleaved(), epochs=1, verbose=0)
        trainer.save(path)
        loaded = keras.saving.load_model(path)
        for found in (trainer, loaded):
            found.fit(interleaved(), epochs=2, verbose=0, shuffle=False)
        self.assertEqual(int(loaded.indicator_optimizer.iterations), 18)
        for a, b in zip(trainer.variables, loaded.variables, strict=True):
            np.testing.assert_allclose(
                to_numpy(a), to_numpy(b), atol=1e-5, err_msg=a.path
            )

    @pytest.mark.slow
    def test_a_run_that_was_stopped_goes_on(self):
        folder = self.create_tempdir()

        def fit(epochs, backup):
            trainer = self.trainer()
            callbacks = []
            if backup:
                callbacks.append(
                    backup_lib.Backup(
                        os.path.join(folder, "backup"),
                        delete_checkpoint=False,
                    )
                )
            trainer.fit(
                interleaved(48),
                epochs=epochs,
                verbose=0,
                shuffle=False,
                callbacks=callbacks,
            )
            return trainer

        whole = fit(4, False)
        fit(2, True)
        resumed = fit(4, True)
        self.assertEqual(int(resumed.indicator_optimizer.iterations), 4)
        for a, b in zip(
            wrapper_lib.learned(whole), wrapper_lib.learned(resumed)
        ):
            np.testing.assert_allclose(to_numpy(a), to_numpy(b), atol=1e-5)

    @parameterized.parameters("mixed_float16", "mixed_bfloat16")
    @pytest.mark.slow  # Trains twice.
    def test_mixed_precision(self, policy):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            trainer = self.trainer()
        finally:
            keras.config.set_dtype_policy(before)
        scaled = keras.optimizers.LossScaleOptimizer
        for optimizer in (trainer.optimizer, trainer.indicator_optimizer):
            self.assertEqual(
                isinstance(optimizer, scaled), policy == "mixed_float16"
            )
        for variable in wrapper_lib.learned(trainer):
            self.assertEqual(variable.dtype, "float32")
        start = [to_numpy(v) for v in wrapper_lib.learned(trainer)]
        history = trainer.fit(interleaved(), epochs=4, verbose=0).history
        self.assertLess(history["loss"][-1], history["loss"][0])
        for a, b in zip(start, wrapper_lib.learned(trainer)):
            self.assertTrue(np.any(a != to_numpy(b)))

    @parameterized.parameters(None, masked.Masked())
    def test_something_must_be_learned(self, method):
        model = net() if method is None else wrapping.wrap(net(), method)
        with self.assertRaisesRegex(ValueError, "trainable variables"):
            alternating.AlternatingModel(model)

    def test_steps_of_a_class_that_do_not_run_are_told(self):
        class Stepping(keras.Model):
            def train_step(self, *args):
                return super().train_step(*args)

        inputs = keras.Input((4,))
        model = Stepping(inputs, layers.Dense(2)(inputs))
        model = wrapping.wrap(model, autoprune.AutoPrune())
        with self.assertWarnsRegex(UserWarning, "Stepping with train_step"):
            alternating.AlternatingModel(model)

    def test_losses_and_metrics_by_the_names_of_outputs(self):
        inputs = keras.Input((4,))
        x = layers.Dense(8)(inputs)
        ends = [layers.Dense(1, name=name)(x) for name in "ab"]
        model = wrapping.wrap(keras.Model(inputs, ends), autoprune.AutoPrune())
        trainer = alternating.AlternatingModel(model)
        trainer.compile("sgd", {"a": "mse", "b": "mae"}, metrics={"b": ["mse"]})
        x, y = regression()
        y = {"a": y[:, :1], "b": y[:, 1:]}
        history = trainer.fit(x, y, verbose=0).history
        self.assertContainsSubset(["a_loss", "b_loss", "b_mse"], history)

    def test_channels_are_masked_on_a_schedule(self):
        method = chain.Chain(
            (masked_channels.MaskedChannels(), autoprune.AutoPrune())
        )
        model = wrapping.wrap(net(), method)
        trainer = compiled(alternating.AlternatingModel(model))
        half = prune_on_schedule.PruneOnSchedule(schedule.OneShot(0.5))
        history = trainer.fit(interleaved(), callbacks=[half], verbose=0)
        # 4 * 8 + 8 * 2 multiply-adds, of which half the channels leave half.
        self.assertEqual(history.history["macs_ratio"], [0.5])


class InterleavedTest(parameterized.TestCase):
    def test_samples_come_in_turn_and_the_second_set_goes_round(self):
        train = [(np.arange(3), np.arange(3) + 0.5)] * 3
        held_out = [(np.array([10, 11]),) * 2, (np.array([20]),) * 2]
        found = alternating.Interleaved(train, held_out)
        self.assertLen(found, 3)
        x, y = found[0]
        np.testing.assert_array_equal(x, [0, 10, 1, 11, 2, 10])
        np.testing.assert_array_equal(y, [0.5, 10, 1.5, 11, 2.5, 10])
        np.testing.assert_array_equal(found[1][0][1::2], [20, 20, 20])
        found.on_epoch_end()
        np.testing.assert_array_equal(found[0][0][1::2], [20, 20, 20])

    def test_lists_and_tuples_of_inputs(self):
        one, other = np.array([1, 2]), np.array([3, 4])
        train, held_out = [([one, one], one)], [((other, other), other, None)]
        x, y = alternating.Interleaved(train, held_out)[0]
        for part in (*x, y):
            np.testing.assert_array_equal(part, [1, 3, 2, 4])
        self.assertIsInstance(x, tuple)

    def test_splits_of_images(self):
        images = np.arange(40.0).reshape(10, 2, 2, 1)
        split = batches.Split(images, np.arange(10))
        train = batches.Batches(
            split.take(range(6)), 4, batches.Preprocessing(), seed=0
        )
        held_out = batches.Batches(
            split.take(range(6, 10)), 2, batches.Preprocessing()
        )
        found = alternating.Interleaved(train, held_out)
        labels = [y.tolist() for _, y in (found[0], found[1])]
        self.assertEqual([len(y) for y in labels], [8, 4])
        self.assertEqual({y for b in labels for y in b[::2]}, set(range(6)))
        self.assertEqual(labels[0][1::2], [6, 7, 6, 7])
        found.on_epoch_begin()
        self.assertEqual(train.epoch, 1)

    def test_both_must_have_batches(self):
        with self.assertRaisesRegex(ValueError, "held_out"):
            alternating.Interleaved([(np.ones(1),)], [])
        with self.assertRaisesRegex(ValueError, "held_out.*cannot be indexed"):
            alternating.Interleaved([(np.ones(1),)], iter([(np.ones(1),)]))

    def test_arrays_are_shuffled(self):
        train, held_out = np.arange(6.0), 10 + np.arange(2.0)
        found = alternating.Interleaved(
            (train, train), (held_out, held_out), batch_size=3
        )
        self.assertLen(found, 2)
        drawn = [found[i] for i in range(2)]
        for x, y in drawn:
            np.testing.assert_array_equal(x, y)
        seen = np.concatenate([x for x, _ in drawn])
        np.testing.assert_array_equal(np.sort(seen[0::2]), train)
        self.assertTrue(np.isin(seen[1::2], held_out).all())
        self.assertFalse(np.array_equal(seen[0::2], train))
