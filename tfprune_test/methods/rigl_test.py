import itertools

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.callbacks import prune_on_schedule as callback_lib
from tfprune.methods import rigl
from tfprune.schedules import schedule as schedule_lib
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping

pytestmark = pytest.mark.any_backend

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy


def wrapped(method, optimizer, layers_=((8, "relu"), (3, None)), inputs=6):
    first = x = keras.Input((inputs,))
    for units, activation in layers_:
        x = layers.Dense(units, activation, use_bias=False)(x)
    model = wrapping.wrap(keras.Model(first, x), method)
    model.compile(optimizer, "mse")
    return model


def data(inputs=6, outputs=3):
    x = np.random.default_rng(0).normal(size=(32, inputs)).astype("float32")
    return x, x[:, :outputs] * 2


class ExchangeTest(parameterized.TestCase):
    def test_the_published_exchange(self):
        mask = rigl.exchanged(
            np.array([0.5, -0.1, 0.3, 0, 0]),
            np.array([9, 9, 9, 0.2, -0.7]) * [0, 0, 0, 1, 1],
            np.array([True, True, True, False, False]),
            count=3,
            drop=0.34,
        )
        np.testing.assert_array_equal(mask, [1, 0, 1, 0, 1])

    def test_a_weight_just_dropped_may_grow_again(self):
        mask = rigl.exchanged(
            np.array([0.5, -0.1, 0.3, 0]),
            np.array([0, 5.0, 0, 1.0]),
            np.array([True, True, True, False]),
            count=3,
            drop=0.34,
        )
        np.testing.assert_array_equal(mask, [1, 1, 1, 0])

    @parameterized.parameters(0.0, 0.2)
    def test_a_layer_that_gets_more_weights_grows_them_by_gradient(self, drop):
        mask = rigl.exchanged(
            np.array([0.5, 0.3, 0, 0, 0, 0]),
            np.array([0, 0, 4.0, 3.0, 2.0, 1.0]),
            np.array([True, True, False, False, False, False]),
            count=4,
            drop=drop,
        )
        np.testing.assert_array_equal(mask, [1, 1, 1, 1, 0, 0])

    def test_without_gradients_the_largest_weights_stay(self):
        mask = rigl.exchanged(
            np.array([0.5, 0.9, -0.7, 0.3, -0.8, 0.1, 0.6]),
            np.zeros(7),
            np.array([1, 1, 1, 1, 1, 1, 0], bool),
            count=4,
            drop=0.5,
        )
        np.testing.assert_array_equal(mask, [1, 1, 1, 0, 1, 0, 0])

    @parameterized.product(count=(0, 1, 5, 12), drop=(0.0, 0.3, 0.9))
    def test_the_count_is_exact(self, count, drop):
        random = np.random.default_rng(count)
        mask = rigl.exchanged(
            random.normal(size=(3, 4)),
            random.normal(size=(3, 4)),
            random.random((3, 4)) < 0.5,
            count,
            drop,
        )
        self.assertEqual(mask.sum(), count)


class RigLTest(parameterized.TestCase):
    @parameterized.parameters(
        lambda: keras.optimizers.SGD(0.5),
        lambda: keras.optimizers.SGD(0.5, momentum=0.9, weight_decay=0.1),
        lambda: keras.optimizers.Adam(0.5, global_clipnorm=0.1),
    )
    def test_the_dense_gradient_is_seen(self, optimizer):
        x, y = data()
        found = {}
        for name, sparsity in (("dense", 0.0), ("sparse", 0.5)):
            keras.utils.set_random_seed(0)
            model = wrapped(rigl.RigL(), optimizer(), ((3, None),))
            (wrapper,) = wrapper_lib.find(model)
            slot = wrapper.slots["kernel"]
            slot.kernel.assign(np.arange(18.0).reshape(6, 3) / 18 - 0.2)
            if sparsity:
                slot["mask"].assign(to_numpy(slot["mask"]) & (np.eye(6, 3) > 0))
            effective = wrapper.folded()["kernel"]
            model.train_on_batch(x, y)
            found[name] = to_numpy(slot["gradient"])
            error = x @ effective - y
            expected = 2 * x.T @ error / error.size
            np.testing.assert_allclose(
                found[name], expected, rtol=1e-4, atol=1e-5
            )
        self.assertGreater(np.abs(found["dense"] - found["sparse"]).max(), 0.1)

    def test_masked_weights_are_not_trained(self):
        model = wrapped(rigl.RigL(), keras.optimizers.SGD(0.5))
        (wrapper, _) = wrapper_lib.find(model)
        slot = wrapper.slots["kernel"]
        mask = np.eye(6, 8) > 0
        slot["mask"].assign(mask)
        before = to_numpy(slot.kernel).copy()
        model.train_on_batch(*data())
        changed = to_numpy(slot.kernel) != before
        self.assertFalse(changed[~mask].any())
        self.assertTrue(changed[mask].any())

    def test_what_masked_weights_hold_gives_their_layer_no_more(self):
        method = rigl.RigL(drop=0.0, allocation="global")
        model = wrapped(method, "sgd")
        ((_, slots),) = wrapper_lib.groups(model)
        method.update(model, slots, 0.5)
        before = [to_numpy(slot["mask"]) for slot in slots]
        weight = to_numpy(slots[0].kernel)
        slots[0].kernel.assign(np.where(before[0], weight, 9.0))
        # Newly grown weights are zero, as good as masked ones hold.
        weight = to_numpy(slots[1].kernel)
        slots[1].kernel.assign(np.where(before[1], 0.0, weight))
        method.update(model, slots, 0.5)
        for slot, mask in zip(slots, before, strict=True):
            self.assertEqual(to_numpy(slot["mask"]).sum(), mask.sum())

    def test_grown_weights_and_their_momentum_start_at_zero(self):
        model = wrapped(rigl.RigL(drop=0.5), keras.optimizers.Adam(0.1))
        for _ in range(3):
            model.train_on_batch(*data())
        slots = [w.slots["kernel"] for w in wrapper_lib.find(model)]
        slot = slots[0]
        before = np.random.default_rng(0).random((6, 8)) < 0.5
        slot["mask"].assign(before)
        rigl.RigL(drop=0.5, allocation="layer").update(model, slots, 0.5)
        grown = to_numpy(slot["mask"]) & ~before
        self.assertGreater(grown.sum(), 0)
        np.testing.assert_array_equal(to_numpy(slot.kernel)[grown], 0)
        kept = [
            v
            for v in model.optimizer.variables
            if v.shape == (6, 8) and "kernel" in v.name
        ]
        self.assertLen(kept, 2)
        for variable in kept:
            values = to_numpy(variable)
            np.testing.assert_array_equal(values[grown], 0)
            self.assertGreater(np.abs(values[~grown]).max(), 0)

    def test_a_model_compiled_without_an_optimizer_is_pruned(self):
        model = wrapped(rigl.RigL(), None)
        callback_lib.prune_now(model, 0.5)
        self.assertAlmostEqual(wrapper_lib.sparsity(model), 0.5)

    def test_sparsity_stays_and_masks_move_inside_fit(self):
        model = wrapped(rigl.RigL(drop=0.6, allocation="layer"), "adam")
        masks = []

        class Spy(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                slot = wrapper_lib.find(self.model)[0].slots["kernel"]
                masks.append(to_numpy(slot["mask"]).copy())

        every = callback_lib.PruneOnSchedule(
            schedule_lib.Constant(0.75, frequency=4)
        )
        model.fit(
            *data(), batch_size=8, epochs=5, verbose=0, callbacks=[every, Spy()]
        )
        self.assertEqual([mask.mean() for mask in masks], [0.25] * 5)
        moved = [(a & ~b).sum() for a, b in itertools.pairwise(masks)]
        self.assertGreater(max(moved), 0)

    @parameterized.parameters("wrapper", "layer", "before")
    def test_frozen_layers_are_left_alone(self, frozen):
        inputs = keras.Input((6,))
        x = layers.Dense(8, "relu", name="a")(inputs)
        plain = keras.Model(inputs, layers.Dense(3, name="b")(x))
        plain.get_layer("a").trainable = frozen != "before"
        model = wrapping.wrap(plain, rigl.RigL())
        if frozen == "layer":
            model.get_layer("a").layer.trainable = False
        elif frozen == "wrapper":
            model.get_layer("a").trainable = False
        model.compile("adam", "mse")
        before = to_numpy(model.get_layer("a").layer.kernel).copy()
        every = callback_lib.PruneOnSchedule(
            schedule_lib.Constant(0.5, frequency=2)
        )
        model.fit(*data(), batch_size=8, epochs=2, verbose=0, callbacks=[every])
        self.assertEqual(int(model.optimizer.iterations), 8)
        first, second = wrapper_lib.find(model)
        np.testing.assert_array_equal(first.folded()["kernel"], before)
        mask = to_numpy(second.slots["kernel"]["mask"])
        self.assertEqual(mask.mean(), 0.5)

    @parameterized.parameters(
        (dict(gradient_accumulation_steps=2), True, "tion_steps=2 of"),
        (dict(use_ema=True), True, "use_ema=True of"),
        ({}, False, "RigL needs a layer .*/kernel, which are all frozen"),
    )
    def test_what_hands_over_no_gradient_is_refused(self, given, on, message):
        model = wrapped(rigl.RigL(), keras.optimizers.Adam(**given))
        model.trainable = on
        every = callback_lib.PruneOnSchedule(schedule_lib.Constant(0.5))
        with self.assertRaisesRegex(ValueError, message):
            model.fit(*data(), verbose=0, callbacks=[every])
        self.assertEqual(int(model.optimizer.iterations), 0)

    def test_each_of_several_optimizers_must_hand_it_over(self):
        if not hasattr(keras.optimizers, "MultiOptimizer"):
            self.skipTest("Keras has no MultiOptimizer yet.")
        several = keras.optimizers.MultiOptimizer(
            keras.optimizers.OptimizerMap(keras.optimizers.Adam(use_ema=True))
        )
        model = wrapped(rigl.RigL(), several)
        every = callback_lib.PruneOnSchedule(schedule_lib.Constant(0.5))
        with self.assertRaisesRegex(ValueError, "use_ema=True of optimizer="):
            model.fit(*data(), verbose=0, callbacks=[every])

    @parameterized.parameters(
        (dict(drop=1.0), "drop=1.0"), (dict(allocation="wide"), "'wide'")
    )
    def test_errors(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            rigl.RigL(**arguments)
