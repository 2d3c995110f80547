import os

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.costs import counting
from tfprune.methods import soft_threshold
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import stripping
from tfprune.training import switch_on
from tfprune.training import weight_decay
from tfprune_test import gradients
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy
STR = soft_threshold.SoftThreshold
CHANNELS = soft_threshold.SoftThresholdChannels


def one_layer(method, kernel, **kwargs):
    """A wrapped `Dense` without bias that has this kernel, and its slot."""
    kernel = np.asarray(kernel)
    model = keras.Sequential(
        [
            keras.Input(kernel.shape[:1]),
            layers.Dense(kernel.shape[1], use_bias=False, **kwargs),
        ]
    )
    wrapped = wrapping.wrap(model, method)
    (wrapper,) = wrapper_lib.find(wrapped)
    wrapper.layer.kernel.assign(kernel)
    return wrapped, wrapper.slots["kernel"]


def gradients_of(model, slot, upstream):
    """`(dL/dw, dL/ds)` for `dL/dw~ = upstream`."""
    variables = [slot.kernel, slot["s"]]
    return gradients.of_kernel(model, variables, upstream, 1.0)


class SoftThresholdTest(parameterized.TestCase):
    def test_the_numbers_of_a_layer_of_three_weights(self):
        kernel = [[0.5], [-0.2], [0.05]]
        model, slot = one_layer(STR(-2.0), kernel)
        found = wrapper_lib.find(model)[0].folded()["kernel"]
        np.testing.assert_allclose(
            found[:, 0], [0.380797, -0.080797, 0], atol=1e-6
        )
        self.assertAlmostEqual(
            float(slot.layer.kernel[0, 0] - found[0, 0]), 0.119203, places=6
        )
        self.assertAlmostEqual(wrapper_lib.sparsity(model), 1 / 3)
        dw, ds = gradients_of(model, slot, [[1.0], [2.0], [3.0]])
        np.testing.assert_allclose(dw[:, 0], [1, 2, 0], atol=1e-6)
        self.assertAlmostEqual(float(ds), 0.104994, places=6)

    def test_exp_is_the_threshold_itself_in_logarithms(self):
        model, slot = one_layer(
            STR(float(np.log(0.1)), function="exp"), [[0.5], [-0.2], [0.05]]
        )
        found = wrapper_lib.find(model)[0].folded()["kernel"]
        np.testing.assert_allclose(found[:, 0], [0.4, -0.1, 0], atol=1e-6)
        _, ds = gradients_of(model, slot, [[1.0], [2.0], [3.0]])
        # -g' * (1 - 2) with g' = g = 0.1.
        self.assertAlmostEqual(float(ds), 0.1, places=6)

    @parameterized.product(
        granularity=("layer", "filter"), function=("sigmoid", "exp")
    )
    def test_gradients_are_those_of_differences(self, granularity, function):
        random = np.random.default_rng(0)
        kernel = random.normal(size=(4, 3))
        upstream = random.normal(size=(4, 3))
        method = STR(-0.8, granularity, function)
        model, slot = one_layer(method, kernel)
        s = np.full(slot["s"].shape, -0.8)
        functions = {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "exp": np.exp}

        def value(w, s):
            g = functions[function](s)
            shrunk = np.sign(w) * np.maximum(np.abs(w) - g, 0)
            return np.sum(upstream * shrunk)

        dw, ds = gradients_of(model, slot, upstream)
        np.testing.assert_allclose(
            dw, differences(lambda w: value(w, s), kernel), atol=1e-5
        )
        np.testing.assert_allclose(
            ds, differences(lambda s: value(kernel, s), s), atol=1e-5
        )

    def test_each_filter_has_its_threshold(self):
        method = STR(-3.0, "filter")
        inputs = keras.Input((6, 6, 4))
        x = layers.Conv2D(5, 3, name="conv")(inputs)
        x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
        x = layers.Conv2DTranspose(6, 1, name="transpose")(x)
        x = layers.SeparableConv2D(7, 1, name="separable")(x)
        depthwise = layers.DepthwiseConv2D(2)
        x = layers.SpectralNormalization(depthwise, name="spectral")(x)
        wrapped = wrapping.wrap(keras.Model(inputs, x), method)
        shapes = {
            slot.path: tuple(slot["s"].shape)
            for w in wrapper_lib.find(wrapped)
            for slot in w.slots.values()
        }
        self.assertEqual(
            shapes,
            {
                "conv/kernel": (1, 1, 1, 5),
                "depthwise/kernel": (1, 1, 5, 2),
                "transpose/kernel": (1, 1, 6, 1),
                "separable/depthwise_kernel": (1, 1, 6, 1),
                "separable/pointwise_kernel": (1, 1, 1, 7),
                "spectral/kernel": (1, 1, 7, 1),
            },
        )

    @pytest.mark.slow  # Trains.
    def test_strip_stores_the_shrunk_weights(self):
        wrapped = wrapping.wrap(small_nets.mixed(), STR(-4.0))
        small = stripping.strip(wrapped)
        for wrapper in wrapper_lib.find(wrapped):
            kernel = to_numpy(wrapper.layer.kernel)
            expected = np.sign(kernel) * np.maximum(
                np.abs(kernel) - 1 / (1 + np.exp(4)), 0
            )
            np.testing.assert_allclose(
                to_numpy(small.get_layer(wrapper.name).kernel),
                expected,
                atol=1e-6,
            )
        self.assertGreater(wrapper_lib.sparsity(wrapped), 0)

    @parameterized.parameters("mixed_float16", "mixed_bfloat16", "float16")
    def test_thresholds_stay_float32_in_half_precision(self, policy):
        # sigmoid(-18) is 1.5e-8; the least positive float16 is 6e-8.
        model, slot = one_layer(STR(-18.0), [[0.5]], dtype=policy)
        self.assertEqual(slot["s"].dtype, "float32")
        threshold = STR(-18.0).threshold(slot)
        self.assertEqual(
            keras.backend.standardize_dtype(threshold.dtype), "float32"
        )
        self.assertAlmostEqual(float(threshold), 1.523e-8, places=11)
        outputs = model(np.ones((1, 1), "float16"))
        self.assertEqual(float(outputs[0, 0]), 0.5)
        self.assertEqual(
            keras.backend.standardize_dtype(outputs.dtype),
            "bfloat16" if policy == "mixed_bfloat16" else "float16",
        )

    def test_training_in_mixed_precision_moves_the_threshold(self):
        model, slot = one_layer(
            STR(-2.0), np.full((2, 1), 0.5), dtype="mixed_float16"
        )
        model.compile(keras.optimizers.SGD(0.1), "mse")
        x = np.ones((8, 2), "float32")
        model.fit(x, x[:, :1] * 3, batch_size=4, verbose=0)
        self.assertLess(float(slot["s"]), -2.0)

    @parameterized.parameters(
        ({"initial": np.inf}, r"in \(-inf, inf\)"),
        ({"granularity": "kernel"}, "layer, filter, global"),
        ({"function": "tanh"}, "sigmoid, exp"),
        ({"decay": -1.0}, r"in \[0, inf\)"),
    )
    def test_bad_arguments(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            STR(**arguments)
        with self.assertRaisesRegex(ValueError, "layer, global"):
            CHANNELS(granularity="filter")


class GlobalTest(parameterized.TestCase):
    def wrapped(self, **kwargs):
        model = small_nets.chain()
        return wrapping.wrap(model, STR(-2.0, "global", **kwargs))

    def test_one_threshold_learns_from_all_layers(self):
        model = self.wrapped()
        (s,) = wrapper_lib.learned(model)
        self.assertLen(model.trainable_variables, 3)
        np.testing.assert_allclose(
            model(np.ones((1, 2))), [[2 * (1 - 0.1192029) ** 2]], rtol=1e-5
        )
        model.compile(
            keras.optimizers.SGD(1.0),
            small_nets.mean_output,
            jit_compile=small_nets.JIT,
        )
        model.train_on_batch(np.ones((1, 2)), np.ones((1, 1)))
        # y = 2 (1 - g)^2, so dy/ds = -4 (1 - g) g'.
        change = 4 * (1 - 0.1192029) * 0.1192029 * (1 - 0.1192029)
        self.assertAlmostEqual(float(s), -2.0 + change, places=5)

    def test_its_decay_counts_once(self):
        model = self.wrapped(decay=0.5)
        self.assertLen(model.losses, 1)
        self.assertAlmostEqual(float(model.losses[0]), 0.25 * 4)

    def test_a_file_keeps_it_one(self):
        model = self.wrapped(decay=0.5)
        wrapper_lib.learned(model)[0].assign(-1.5)
        path = os.path.join(self.create_tempdir(), "model.keras")
        model.save(path)
        loaded = keras.saving.load_model(
            path, custom_objects={"mean_output": small_nets.mean_output}
        )
        (s,) = wrapper_lib.learned(loaded)
        self.assertEqual(float(s), -1.5)
        self.assertLen(loaded.losses, 1)
        x = np.ones((1, 2))
        np.testing.assert_array_equal(to_numpy(model(x)), to_numpy(loaded(x)))

    def test_wrapping_other_layers_later_keeps_it_one(self):
        model = small_nets.mixed()
        where = ["inner", "outer"]
        first = wrapping.wrap(model, STR(-3.0, "global"), where)
        wrapper_lib.learned(first)[0].assign(-2.5)
        both = wrapping.wrap(first, STR(-1.0), "hidden")
        values = [float(s) for s in wrapper_lib.learned(both)]
        self.assertEqual(values, [-2.5, -1.0])
        both(small_nets.samples()[0])

    def test_layers_copied_one_by_one_are_refused(self):
        torn = keras.models.clone_model(self.wrapped())
        with self.assertRaisesRegex(ValueError, "copied together"):
            torn(np.ones((1, 2)))

    def test_a_layer_on_its_own_is_refused(self):
        wrapper = wrapper_lib.PruningWrapper(
            layers.Dense(2), STR(-2.0, "global")
        )
        with self.assertRaisesRegex(ValueError, "tfprune.wrap"):
            wrapper(np.ones((1, 3)))


class DecayTest(parameterized.TestCase):
    """s moves by decay alone as long as its gradient is 0."""

    def after(self, method, optimizer, steps, exclude=False):
        model, slot = one_layer(method, [[1.0]])
        if exclude:
            weight_decay.exclude_from_weight_decay(optimizer, model)
        model.compile(optimizer, "mse", jit_compile=small_nets.JIT)
        x = np.ones((steps, 1), "float32")
        model.fit(x, x, batch_size=1, verbose=0, shuffle=False)
        return float(slot["s"])

    @parameterized.parameters(
        # decay, momentum, whether the optimizer decays too but for s.
        (1e-3, 0.0, False),
        (1e-3, 0.9, False),
        (1e-3, 0.9, True),
    )
    def test_the_closed_form_of_sgd(self, decay, momentum, exclude):
        rate, steps = 0.05, 150
        optimizer = keras.optimizers.SGD(
            rate, momentum, weight_decay=0.5 if exclude else None
        )
        found = self.after(STR(-1000.0, decay=decay), optimizer, steps, exclude)
        # Momentum needs a while to get up to speed: 1 / (1 - m) steps.
        begun = steps - momentum / (1 - momentum)
        expected = np.log(1000) - decay / (1 - momentum) * rate * begun
        self.assertLess(abs(np.log(-found) - expected), 1e-3)

    def test_the_decay_of_the_optimizer_is_the_default(self):
        sgd = keras.optimizers.SGD(0.05, momentum=0.9, weight_decay=0.01)
        found = self.after(STR(-1000.0), sgd, 200)
        self.assertAlmostEqual(
            np.log(-found), np.log(1000) - 0.01 * 0.05 * 200, places=3
        )

    def test_decay_counts_twice_only_if_nobody_excludes(self):
        sgd = keras.optimizers.SGD(0.05, weight_decay=0.01)
        found = self.after(STR(-1000.0, decay=0.01), sgd, 100)
        self.assertAlmostEqual(
            np.log(-found), np.log(1000) - 2 * 0.01 * 0.05 * 100, places=3
        )

    def test_pruning_begins_at_the_switch_on(self):
        arguments = {"decay": 0.1, "learning_rate": 0.1, "steps_per_epoch": 10}
        epoch = switch_on.switch_on_epoch(-100.0, **arguments)
        self.assertAlmostEqual(epoch, 23.03, places=2)
        sparse = []
        for epochs in (22, 24):
            method = STR(-100.0, decay=0.1)
            # Between sigmoid(-10.5) and sigmoid(-9.5).
            model, slot = one_layer(method, np.full((1, 3), 4.6e-5))
            slot.layer.trainable = False
            model.compile(
                keras.optimizers.SGD(0.1), "mse", jit_compile=small_nets.JIT
            )
            x = np.zeros((10 * epochs, 1), "float32")
            model.fit(x, np.ones((len(x), 3)), batch_size=1, verbose=0)
            sparse.append(wrapper_lib.sparsity(model))
        self.assertEqual(sparse, [0.0, 1.0])


class ChannelsTest(parameterized.TestCase):
    def test_slices_shrink_by_their_root_mean_square(self):
        first = [[1.0, 2.0, 0.5]] * 2
        model = small_nets.pair(first, [[3.0, 0.05], [4.0, 0.05]])
        method = CHANNELS(float(np.log(0.1)), function="exp")
        wrapped = wrapping.wrap(model, method)
        folded = {
            w.name: w.folded()["kernel"] for w in wrapper_lib.find(wrapped)
        }
        # Inputs are not for removal, so they are read as they are.
        np.testing.assert_array_equal(folded["first"][0, 0].T, first)
        # r = sqrt((9 + 16) / 2) and 0.05 < 0.1.
        r = np.sqrt(12.5)
        np.testing.assert_allclose(
            folded["second"][0, 0],
            np.array([[3.0, 4.0], [0, 0]]) * (1 - 0.1 / r),
            rtol=1e-6,
        )
        small = stripping.strip(wrapped)
        self.assertEqual(small.get_layer("first").filters, 1)

    def test_gradients_are_those_of_differences(self):
        random = np.random.default_rng(0)
        kernel = random.normal(size=(4, 3))
        kernel[1] *= 0.1
        upstream = random.normal(size=(4, 3))
        number = np.array([0, 1, 2, 0])
        layer = layers.Dense(3, use_bias=False)

        def value(w, s):
            w, s = w.astype(np.float64), np.float64(s)
            rows = np.stack(
                [np.mean(w**2, 1)[number == number[i]].mean() for i in range(4)]
            )
            factor = np.maximum(1 - np.exp(s) / np.sqrt(rows), 0)
            return np.sum(upstream * w * factor[:, None])

        wrapper = wrapper_lib.PruningWrapper(
            layer, CHANNELS(-1.2, function="exp")
        )
        model = keras.Sequential([keras.Input((4,)), wrapper])
        slot = wrapper.slots["kernel"]
        slot.kernel.assign(kernel)
        slot["slices"].assign(number)
        dw, ds = gradients_of(model, slot, upstream)
        s = np.float64(-1.2)
        np.testing.assert_allclose(
            dw, differences(lambda w: value(w, s), kernel), atol=1e-4
        )
        self.assertTrue(np.all(dw[1] == 0), "below the threshold")
        np.testing.assert_allclose(
            ds, differences(lambda s: value(kernel, s), s), atol=1e-4
        )

    def test_a_slice_of_zeros_has_finite_gradients(self):
        model = small_nets.pair(np.ones((2, 2)), [[1.0, 0.0], [1.0, 0.0]])
        wrapped = wrapping.wrap(model, CHANNELS(-3.0))
        wrapped.compile(
            keras.optimizers.SGD(0.1), "mse", jit_compile=small_nets.JIT
        )
        wrapped.train_on_batch(np.ones((2, 4, 4, 2)), np.ones((2, 1)))
        for variable in wrapped.trainable_variables:
            self.assertTrue(np.isfinite(to_numpy(variable)).all())

    def test_rows_after_flatten_make_one_slice(self):
        wrapped = wrapping.wrap(small_nets.mixed(), CHANNELS(-3.0))
        slots = {
            s.path: s
            for w in wrapper_lib.find(wrapped)
            for s in w.slots.values()
        }
        np.testing.assert_array_equal(
            to_numpy(slots["hidden/kernel"]["slices"]), np.tile(range(5), 4)
        )
        for frozen in ("stem/kernel", "depthwise/kernel"):
            self.assertTrue(
                np.all(to_numpy(slots[frozen]["slices"]) == -1), frozen
            )

    @parameterized.parameters("layer", "global")
    @pytest.mark.slow  # Trains for long.
    def test_training_leads_to_a_smaller_network(self, granularity):
        model = small_nets.mixed()
        method = CHANNELS(-3.0, granularity, decay=0.1)
        wrapped = wrapping.wrap(model, method)
        wrapped.compile(
            keras.optimizers.SGD(0.1, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        x, y = small_nets.samples()
        wrapped.fit(x, y, batch_size=8, epochs=4, verbose=0)
        path = os.path.join(self.create_tempdir(), "model.keras")
        wrapped.save(path)
        loaded = keras.saving.load_model(path)
        small = stripping.strip(loaded)
        np.testing.assert_allclose(
            to_numpy(wrapped(x)), to_numpy(small(x)), rtol=1e-4, atol=1e-5
        )
        self.assertLess(counting.cost(small).macs, counting.cost(model).macs)
        self.assertEmpty(wrapper_lib.find(small))

    def test_shrinkage_at_nought(self):
        d_size, d_threshold = gradients.gradients(
            soft_threshold.shrinkage, np.array([0.0, 0.5, 2.0]), np.full(3, 1.0)
        )
        np.testing.assert_allclose(d_size, [0, 0, 0.25])
        np.testing.assert_allclose(d_threshold, [0, 0, -0.5])


def differences(function, at, step=1e-6):
    """The gradient of a function of an array by central differences."""
    at = np.asarray(at, np.float64)
    found = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        move = np.zeros_like(at)
        move[index] = step
        found[index] = (function(at + move) - function(at - move)) / (2 * step)
    return found
