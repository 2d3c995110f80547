import os
import warnings

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.callbacks import prune_on_schedule as callback_lib
from tfprune.methods import bitpruning
from tfprune.methods import masked
from tfprune.methods import masked_channels
from tfprune.schedules import schedule
from tfprune.sparsity import chain
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import stripping
from tfprune.training import bit_lengths
from tfprune_test.gradients import gradients

pytestmark = pytest.mark.any_backend

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy
BitPruning = bitpruning.BitPruning


def data(count=64):
    x = np.random.default_rng(0).normal(size=(count, 6)).astype("float32")
    return x, x[:, :2] ** 2


def net(dtype=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = layers.Dense(12, "relu", name="first", dtype=dtype)(inputs)
    return keras.Model(
        inputs, layers.Dense(2, name="last", dtype=dtype)(x), name="net"
    )


def learner(method, dtype=None, optimizer=None, **compile_args):
    model = wrapping.wrap(net(dtype), method)
    compile_args.setdefault("jit_compile", False)
    model.compile(
        optimizer or keras.optimizers.SGD(0.05), "mse", **compile_args
    )
    return model


def bits(model):
    return [float(slot["bit_length"]) for _, slot in bit_lengths.places(model)]


def set_bits(model, values):
    for (_, slot), n in zip(bit_lengths.places(model), values, strict=True):
        slot["bit_length"].assign(n)


def outputs(model, x=None):
    return to_numpy(model(data()[0] if x is None else x, training=False))


def kernels(model):
    return [to_numpy(model.get_layer(n).kernel) for n in ("first", "last")]


class PenaltyTest(parameterized.TestCase):
    def test_value_and_gradient_written_by_hand(self):
        model = learner(BitPruning(gamma=1.0))
        set_bits(model, [8, 4, 3, 1])
        found = bit_lengths.places(model)
        total = sum(float(method.penalty(slot)) for method, slot in found)
        self.assertAlmostEqual(total, 4.0, places=6)
        self.assertAlmostEqual(float(sum(model.losses)), 4.0, places=6)
        for method, slot in found:
            share = float(slot["share"])
            self.assertAlmostEqual(share, 0.25)
            (slope,) = gradients(
                lambda n, m=method, s=share: m.penalty(_Slot(n, s)), 3.0
            )
            self.assertAlmostEqual(float(slope), 0.25, places=6)

    def test_size_counts_weights_and_activations_of_a_sample(self):
        model = learner(BitPruning(weighting="size"))
        shares = [float(s["share"]) for _, s in bit_lengths.places(model)]
        sizes = np.array([6 * 12, 6, 12 * 2, 12])
        np.testing.assert_allclose(shares, sizes / sizes.sum(), rtol=1e-6)

    def test_macs_count_the_work_of_the_layer(self):
        inputs = keras.Input((8, 8, 2))
        x = layers.Conv2D(3, 3, name="conv")(inputs)
        x = layers.SeparableConv2D(4, 3, name="separable")(x)
        x = layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, layers.Dense(5, name="dense")(x))
        model = wrapping.wrap(model, BitPruning(weighting="macs"))
        conv, depth, point = 36 * 9 * 2 * 3, 16 * 9 * 3, 16 * 3 * 4
        macs = [conv, conv, depth, point, depth + point, 20, 20]
        found = bit_lengths.places(model)
        self.assertEqual(
            [slot.path for _, slot in found][2:5],
            [
                "separable/depthwise_kernel",
                "separable/pointwise_kernel",
                "separable/inputs",
            ],
        )
        shares = [float(slot["share"]) for _, slot in found]
        np.testing.assert_allclose(shares, np.divide(macs, sum(macs)), 1e-5)

    def test_sizes_must_be_known(self):
        inputs = keras.Input((None, 3))
        model = keras.Model(inputs, layers.Conv1D(2, 3)(inputs))
        with self.assertRaisesRegex(ValueError, "known size.*conv1d"):
            wrapping.wrap(model, BitPruning(weighting="size"))

    @parameterized.parameters(
        ({"weights": 0.5}, "weights=0.5"),
        ({"activations": 17}, "activations=17"),
        ({"weights": None, "activations": None}, "weights=None"),
        ({"weighting": "loss"}, "equal, size, macs.*'loss'"),
        ({"gamma": -1.0}, "gamma=-1.0"),
        ({"momentum": 1.0}, "momentum=1.0"),
    )
    def test_arguments_out_of_range_are_refused(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            BitPruning(**arguments)


class _Slot(dict):
    """Variables of a slot, as a test gives them."""

    def __init__(self, n, share):
        super().__init__(bit_length=_Value(n), share=_Value(share))


class _Value:
    def __init__(self, value):
        self.value = value


class LearningTest(parameterized.TestCase):
    @pytest.mark.slow  # Compiles twice.
    def test_bits_fall_by_the_learning_rate_without_a_loss(self):
        model = learner(BitPruning(gamma=2.0))
        for layer in ("first", "last"):
            wrapper = model.get_layer(layer).layer
            wrapper.kernel.assign(np.zeros(wrapper.kernel.shape))
        x = np.zeros((8, 6), "float32")
        model.train_on_batch(x, np.zeros((8, 2)))
        # Nothing pulls but gamma * lambda = 2 / 4, and the rate is 0.05.
        np.testing.assert_allclose(bits(model), [8 - 0.05 * 0.5] * 4, 1e-6)

    def test_bits_fall_under_a_penalty_and_the_loss_falls(self):
        model = learner(BitPruning(gamma=4.0))
        seen = [np.mean(bits(model))]
        fits = [
            model.fit(*data(), batch_size=8, epochs=2, verbose=0)
            for _ in range(3)
            if not seen.append(np.mean(bits(model)))
        ]
        seen.append(np.mean(bits(model)))
        self.assertEqual(seen[0], 8)
        self.assertTrue((np.diff(seen[1:]) < 0).all(), seen)
        self.assertLess(
            fits[-1].history["loss"][-1], fits[0].history["loss"][0]
        )

    def test_bits_stay_within_their_range(self):
        model = learner(BitPruning(gamma=1e4))
        model.train_on_batch(*data())
        self.assertEqual(bits(model), [1] * 4)
        for start, highest in ((8.0, 8), (9.0, 16)):
            model = learner(BitPruning(0.0, start, start))
            set_bits(model, [30] * 4)
            model.train_on_batch(*data())
            self.assertEqual(bits(model), [highest] * 4)

    def test_without_a_penalty_the_loss_alone_moves_bits(self):
        model = learner(BitPruning(0.0, 2.0, 2.0))
        self.assertEmpty(model.losses)
        model.fit(*data(), batch_size=8, epochs=2, verbose=0)
        self.assertGreater(np.ptp(bits(model)), 0)

    def test_weight_decay_can_leave_bits_out(self):
        def after(*names):
            optimizer = keras.optimizers.SGD(0.0, weight_decay=0.5)
            optimizer.learning_rate = 0.1
            optimizer.exclude_from_weight_decay(var_names=list(names))
            model = learner(BitPruning(0.0), optimizer=optimizer)
            for layer in ("first", "last"):
                kernel = model.get_layer(layer).layer.kernel
                kernel.assign(np.zeros(kernel.shape))
            model.train_on_batch(np.zeros((8, 6)), np.zeros((8, 2)))
            return bits(model)

        self.assertEqual(after("bit_length"), [8] * 4)
        self.assertLess(max(after("nothing")), 8)

    def test_a_model_compiled_without_an_optimizer_is_wrapped(self):
        inputs = keras.Input((3,))
        model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
        model.compile(None, "mse")
        wrapped = wrapping.wrap(model, bitpruning.BitPruning())
        self.assertIsNone(wrapped.optimizer)

    def test_weight_decay_of_a_compiled_model_is_warned_of(self):
        model = net()
        model.compile(keras.optimizers.AdamW(weight_decay=0.1), "mse")
        with self.assertWarnsRegex(UserWarning, "var_names=..bit_length"):
            wrapping.wrap(model, BitPruning())
        model.optimizer.exclude_from_weight_decay(var_names=["bit_length"])
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            wrapping.wrap(model, BitPruning())

    @parameterized.parameters("mixed_float16", "mixed_bfloat16")
    def test_mixed_precision(self, dtype):
        model = learner(BitPruning(gamma=1.0, weights=12.0), dtype)
        fit = model.fit(*data(), batch_size=8, epochs=3, verbose=0)
        self.assertLess(fit.history["loss"][-1], fit.history["loss"][0])
        self.assertLess(max(bits(model)), 12)
        for _, slot in bit_lengths.places(model):
            self.assertEqual(slot["bit_length"].dtype, "float32")

    @pytest.mark.slow  # Trains twice.
    def test_several_steps_in_one_call_are_the_same_steps(self):
        found = []
        for steps in (1, 4):
            model = learner(BitPruning(), steps_per_execution=steps)
            model.fit(*data(), batch_size=8, verbose=0, shuffle=False)
            found.append(bits(model))
        np.testing.assert_allclose(found[0], found[1], rtol=1e-6)

    @pytest.mark.slow  # Compiles.
    def test_compiled_by_xla_it_is_the_same(self):
        found = []
        for jit in (False, True):
            model = learner(BitPruning(), jit_compile=jit)
            model.fit(*data(), batch_size=8, verbose=0, shuffle=False)
            found.append(bits(model))
        np.testing.assert_allclose(found[0], found[1], rtol=1e-4)

    @pytest.mark.slow  # Trains three times.
    def test_resumed_training_is_the_same(self):
        through = learner(BitPruning(), optimizer=keras.optimizers.Adam(0.02))
        args = {"batch_size": 8, "verbose": 0, "shuffle": False}
        through.fit(*data(), epochs=2, **args)
        model = learner(BitPruning(), optimizer=keras.optimizers.Adam(0.02))
        model.fit(*data(), epochs=1, **args)
        path = os.path.join(self.create_tempdir(), "model.keras")
        model.save(path)
        loaded = keras.saving.load_model(path)
        np.testing.assert_array_equal(outputs(model), outputs(loaded))
        loaded.fit(*data(), epochs=1, **args)
        np.testing.assert_allclose(bits(loaded), bits(through), rtol=1e-5)


class ActivationsTest(parameterized.TestCase):
    def test_inputs_are_on_the_grid_of_their_batch_in_training(self):
        wrapper = wrapper_lib.PruningWrapper(
            layers.Dense(1, use_bias=False), BitPruning(0, None, 2.0)
        )
        x = np.array([[0.0], [0.3], [0.45], [1.0]], "float32")
        wrapper.build((None, 1))
        wrapper.layer.kernel.assign([[1.0]])
        self.assertEqual(list(wrapper.slots), [method_lib.INPUTS])
        found = to_numpy(wrapper(x, training=True))
        np.testing.assert_allclose(found[:, 0], [0, 1 / 3, 1 / 3, 1], 1e-6)

    def test_otherwise_the_range_is_a_running_average(self):
        wrapper = wrapper_lib.PruningWrapper(
            layers.Dense(1, use_bias=False), BitPruning(0, None, 1.0)
        )
        wrapper.build((None, 1))
        wrapper.layer.kernel.assign([[1.0]])
        x = np.array([[-9.0], [9.0]], "float32")
        before = to_numpy(wrapper(x / 2, training=False))
        np.testing.assert_allclose(before[:, 0], [-4.5, 4.5])
        wrapper(np.array([[1.0], [3.0]], "float32"), training=True)
        wrapper(np.array([[2.0], [6.0]], "float32"), training=True)
        old, new = 0.99 / 1.99, 1 / 1.99
        found = to_numpy(wrapper(x, training=False))
        expected = [old * 1 + new * 2, old * 3 + new * 6]
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5)

    def test_integers_are_read_as_they_are(self):
        wrapper = wrapper_lib.PruningWrapper(
            layers.Embedding(9, 3), BitPruning(0)
        )
        wrapper(np.arange(4)[None])
        self.assertEqual(list(wrapper.slots), ["embeddings"])

    def test_attention_keeps_its_inputs(self):
        layer = layers.MultiHeadAttention(2, 3)
        layer(np.ones((2, 5, 4)), np.ones((2, 5, 4)))
        sites = BitPruning().sites(layer)
        self.assertLen(sites, 4)
        self.assertNotIn(method_lib.INPUTS, sites)

    def test_inputs_must_be_one_tensor(self):
        layer = wrapper_lib.PruningWrapper(Two(), BitPruning())
        with self.assertRaisesRegex(ValueError, "one tensor.*'two'"):
            layer([np.ones((1, 3)), np.ones((1, 3))])


class Two(layers.Layer):
    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[0][-1], 2))

    def call(self, inputs):
        return keras.ops.matmul(inputs[0] + inputs[1], self.kernel)


class FrozenTest(parameterized.TestCase):
    def test_a_frozen_layer_is_wrapped_and_learns_once_it_thaws(self):
        plain = net()
        plain.get_layer("first").trainable = False
        model = wrapping.wrap(plain, BitPruning(gamma=4.0))
        whole = wrapping.wrap(net(), BitPruning(gamma=4.0))
        self.assertLen(model.losses, len(whole.losses) // 2)
        model.get_layer("first").trainable = True
        self.assertAlmostEqual(
            float(sum(model.losses)), float(sum(whole.losses)), places=5
        )
        self.assertLen(model.trainable_variables, 8)

    def test_a_layer_frozen_after_wrapping_is_saved_and_loaded(self):
        model = wrapping.wrap(net(), BitPruning(gamma=4.0))
        expected = float(sum(model.losses))
        model.get_layer("first").trainable = False
        path = os.path.join(self.create_tempdir().full_path, "m.keras")
        model.save(path)
        for again in (
            keras.saving.load_model(path),
            keras.models.clone_model(model),
        ):
            self.assertFalse(again.get_layer("first").trainable)
            again.get_layer("first").trainable = True
            self.assertLen(again.trainable_variables, 8)
            self.assertLen(again.losses, 4)
        again = keras.saving.load_model(path)
        again.get_layer("first").trainable = True
        self.assertAlmostEqual(float(sum(again.losses)), expected, places=5)


class TogetherTest(parameterized.TestCase):
    def test_the_logs_have_the_mean_of_all_layers(self):
        model = wrapping.wrap(net(), BitPruning(gamma=1.0), "first")
        model = wrapping.wrap(model, BitPruning(gamma=2.0), "last")
        set_bits(model, [1, 2, 4, 5])
        expected = {"weight_bits": 2.5, "activation_bits": 3.5}
        self.assertEqual(wrapper_lib.figures(model), expected)

    @parameterized.parameters(True, False)
    @pytest.mark.slow  # Trains twice.
    def test_weights_and_bits_are_pruned_in_one_fit(self, mask_first):
        methods = (masked.Masked(), BitPruning(gamma=4.0))
        if not mask_first:
            methods = methods[::-1]
        model = learner(chain.Chain(methods))
        ramp = schedule.Polynomial(0.0, 0.5, begin=0, end=20, frequency=2)
        fit = model.fit(
            *data(),
            batch_size=8,
            epochs=4,
            verbose=0,
            callbacks=[callback_lib.PruneOnSchedule(ramp)],
        )
        self.assertLess(np.mean(bits(model)), 8)
        self.assertAlmostEqual(fit.history["sparsity"][-1], 0.5, places=2)
        self.assertAlmostEqual(
            fit.history["weight_bits"][-1], np.mean(bits(model)[::2]), places=4
        )
        set_bits(model, [1, 2, 2, 3])
        final = bit_lengths.finalize(model)
        final.fit(*data(), batch_size=8, verbose=0)
        self.assertAlmostEqual(wrapper_lib.sparsity(final), 0.5, places=2)
        for kernel, n in zip(kernels(wrapping.unwrap(final)), (1, 2)):
            self.assertEqual(np.mean(kernel == 0), 0.5)
            self.assertLessEqual(len(np.unique(kernel)), 2**n + 1)

    def test_channels_go_and_bits_fall_in_one_fit(self):
        methods = (masked_channels.MaskedChannels(), BitPruning(gamma=4.0))
        model = learner(chain.Chain(methods))
        pruning = callback_lib.PruneOnSchedule(schedule.OneShot(0.5, 4))
        model.fit(*data(), batch_size=8, verbose=0, callbacks=[pruning])
        self.assertLess(np.mean(bits(model)), 8)
        small = stripping.strip(bit_lengths.finalize(model))
        self.assertEqual(small.get_layer("first").units, 6)
