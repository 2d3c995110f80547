import os

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.costs import counting
from tfprune.methods import autoprune
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import stripping
from tfprune.training import alternating
from tfprune_test import gradients
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy
AutoPrune = autoprune.AutoPrune
Channels = autoprune.AutoPruneChannels


def by_hand(method, w, m):
    """A wrapped `Dense` with these weights and indicators, and its slot."""
    net = keras.Sequential(
        [keras.Input((len(w),)), layers.Dense(1, use_bias=False)]
    )
    model = wrapping.wrap(net, method)
    (wrapper,) = wrapper_lib.find(model)
    slot = wrapper.slots["kernel"]
    slot.kernel.assign(np.reshape(w, (-1, 1)))
    slot["indicator"].assign(np.reshape(m, (-1, 1)))
    return model, slot


def gradients_of(model, slot, upstream, rate=0.01):
    """`(dL/dw, g_m)` for `dL/dt = upstream`."""
    variables = [slot.kernel, slot["indicator"]]
    upstream = np.reshape(upstream, (-1, 1))
    found = gradients.of_kernel(model, variables, upstream, rate)
    return [gradient.reshape(-1) for gradient in found]


class AutoPruneTest(parameterized.TestCase):
    W, M, UPSTREAM = (0.5, -0.2), (0.3, -0.1), (0.2, -0.4)

    @parameterized.parameters(
        (AutoPrune(mu=0.01), (0.21, 0.041)),
        (AutoPrune(mu=0.01, surrogate="softplus"), (0.120633, 0.194759)),
        (AutoPrune(mu=0.0, rule="plain"), (0.1, 0.008)),
        (AutoPrune(mu=0.01, surrogate="linear"), (0.21, 0.41)),
    )
    def test_the_gradients_of_two_weights(self, method, indicators):
        model, slot = by_hand(method, self.W, self.M)
        folded = wrapper_lib.find(model)[0].folded()["kernel"]
        np.testing.assert_array_equal(folded[:, 0], np.float32([0.5, 0.0]))
        dw, dm = gradients_of(model, slot, self.UPSTREAM)
        np.testing.assert_allclose(dw, [0.2, 0.0], atol=2e-5)
        np.testing.assert_allclose(dm, indicators, atol=2e-5)

    def test_the_penalty_is_the_price_of_what_stays(self):
        model, _ = by_hand(AutoPrune(mu=0.01), self.W, self.M)
        self.assertAlmostEqual(float(model.losses[0]), 0.01)

    def test_weights_that_are_nought_have_the_sign_plus(self):
        model, slot = by_hand(AutoPrune(mu=0.0), (0.0, -0.0), (0.3, 0.3))
        _, dm = gradients_of(model, slot, (0.2, 0.2))
        np.testing.assert_allclose(dm, [0.2, 0.2], atol=2e-5)

    def test_a_pruned_weight_comes_back(self):
        # y = x needs the weight; its indicator begins on the wrong side.
        model, slot = by_hand(AutoPrune(mu=1e-3), [1.0], [-0.05])
        model.compile(
            keras.optimizers.SGD(0.1), "mse", jit_compile=small_nets.JIT
        )
        x = np.ones((8, 1), "float32")
        self.assertEqual(wrapper_lib.sparsity(model), 1.0)
        model.fit(x, x, batch_size=1, verbose=0)
        self.assertEqual(wrapper_lib.sparsity(model), 0.0)
        self.assertAlmostEqual(float(slot.kernel[0, 0]), 1.0, places=3)

    def test_masks_flip_both_ways(self):
        # y = x0 + 0 * x1: the first is needed, the second is noise.
        model, _ = by_hand(AutoPrune(mu=0.05), [0.5, 0.3], [-0.1, 0.1])
        model.compile(keras.optimizers.SGD(0.05), "mse")
        x = np.random.default_rng(0).normal(size=(128, 2)).astype("float32")
        model.fit(x, x[:, :1], batch_size=4, verbose=0)
        folded = wrapper_lib.find(model)[0].folded()["kernel"]
        np.testing.assert_array_equal(folded[:, 0] != 0, [True, False])

    def test_indicators_stay_within_reach(self):
        model, slot = by_hand(AutoPrune(), self.W, self.M)
        gradients_of(model, slot, (-100.0, -100.0), rate=1.0)
        np.testing.assert_allclose(to_numpy(slot["indicator"]), [[1], [-1]])

    def test_frozen_indicators_do_not_change_what_is_pruned(self):
        model, slot = by_hand(AutoPrune(mu=0.1), self.W, self.M)
        model.compile(
            keras.optimizers.Adam(0.5), "mse", jit_compile=small_nets.JIT
        )
        x = np.ones((4, 2), "float32")
        model.train_on_batch(x, x[:, :1])
        before = to_numpy(slot["indicator"]) > 0
        autoprune.freeze_indicators(model)
        self.assertEqual(float(sum(model.losses)), 0)
        weights = to_numpy(slot.kernel)
        # The momentum of Adam still pushes the indicators.
        for _ in range(5):
            model.train_on_batch(x, 10 * x[:, :1])
        path = os.path.join(self.create_tempdir(), "model.keras")
        model.save(path)
        for found in (model, keras.saving.load_model(path)):
            folded = wrapper_lib.find(found)[0].folded()["kernel"]
            np.testing.assert_array_equal(folded != 0, before)
        self.assertTrue(np.any(weights != to_numpy(slot.kernel)))

    def test_freezing_needs_indicators(self):
        with self.assertRaisesRegex(ValueError, "AutoPrune"):
            autoprune.freeze_indicators(small_nets.chain())

    @parameterized.parameters(
        ({"mu": -1.0}, "mu. must be a number in .0, inf."),
        ({"slope": 2.0}, r"in \[0, 1\]"),
        ({"initial": 0.0}, r"in \(0, 1\]"),
        ({"surrogate": "tanh"}, "leaky"),
        ({"rule": "abs"}, "sign, plain"),
    )
    def test_bad_arguments(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            AutoPrune(**arguments)


class ChannelsTest(parameterized.TestCase):
    def test_a_frozen_layer_leaves_the_shared_penalty_on(self):
        plain = keras.Sequential(
            [keras.Input((3,)), *(layers.Dense(4, name=n) for n in "abc")]
        )
        model = wrapping.wrap(plain, Channels(mu=0.1))
        expected = float(sum(model.losses))
        self.assertGreater(expected, 0)
        model.get_layer("a").trainable = False
        self.assertAlmostEqual(float(sum(model.losses)), expected, places=5)
        self.assertIn("indicator", [v.name for v in model.trainable_variables])
        model.trainable = False
        self.assertEmpty(model.trainable_variables)
        model.trainable = True
        self.assertAlmostEqual(float(sum(model.losses)), expected, places=5)

    def shared(self, model, name="indicator"):
        slot = next(iter(wrapper_lib.find(model)[0].slots.values()))
        return slot[name]

    def labels(self, model, name):
        """The channels that a layer reads."""
        (wrapper,) = [w for w in wrapper_lib.find(model) if w.name == name]
        return to_numpy(wrapper.slots["kernel"]["channels"])

    @parameterized.parameters((1, 0.2), (2, 0.4))
    def test_an_indicator_learns_from_all_that_read_it(self, readers, expected):
        model = small_nets.chain(readers)
        # TensorFlow may update a kernel before it computes what follows it,
        # so the one before the gates has to stay.
        model.get_layer("writer").trainable = False
        for i in range(readers):
            model.get_layer(f"reader{i}").kernel.assign([[0.5], [-4.0]])
        method = Channels(mu=0.0, rule="sign")
        model = wrapping.wrap(model, method)
        model.compile(
            keras.optimizers.SGD(0.1),
            small_nets.mean_output,
            jit_compile=small_nets.JIT,
        )
        # y = sum over the readers of x0 w0 + x1 w1, so dL/dt = x.
        model.train_on_batch(np.array([[0.2, 0.2]]), np.ones((1, 1)))
        at = self.labels(model, "reader0")
        moved = (0.5 - to_numpy(self.shared(model))) / 0.1
        np.testing.assert_allclose(moved[at], [expected, -expected], atol=1e-5)

    def test_which_channels_are_decided_on(self):
        model = wrapping.wrap(small_nets.mixed(), Channels())
        free = to_numpy(self.shared(model, "free"))
        # Of stem and outer 6, inner 8, down 5 and hidden 7; no inputs.
        self.assertEqual(free.sum(), 26)
        self.assertFalse(free[self.labels(model, "stem")].any())
        self.assertTrue(free[self.labels(model, "hidden")].all())
        some = wrapping.wrap(small_nets.mixed(), Channels(), ["inner", "down"])
        self.assertEqual(to_numpy(self.shared(some, "free")).sum(), 6)
        one = wrapping.wrap(small_nets.mixed(), Channels(), ["inner"])
        self.assertEqual(to_numpy(self.shared(one, "free")).sum(), 0)

    @pytest.mark.slow  # Trains for longer.
    def test_strip_removes_exactly_what_is_masked(self):
        model = wrapping.wrap(small_nets.mixed(), Channels())
        indicators = to_numpy(self.shared(model)).copy()
        for name, gone in (("inner", 2), ("outer", 3), ("logits", 4)):
            indicators[self.labels(model, name)[:gone]] = -0.1
        self.shared(model).assign(indicators)
        small = stripping.strip(model)
        self.assertEqual(small.get_layer("stem").filters, 4)
        self.assertEqual(small.get_layer("outer").filters, 4)
        self.assertEqual(small.get_layer("inner").filters, 5)
        self.assertEqual(small.get_layer("hidden").units, 3)
        x, _ = small_nets.samples()
        np.testing.assert_allclose(
            to_numpy(model(x)), to_numpy(small(x)), atol=1e-5
        )

    @pytest.mark.slow  # Many layers.
    def test_every_layer_goes_on_reading_one_channel(self):
        model = wrapping.wrap(small_nets.mixed(), Channels())
        indicators = np.full(self.shared(model).shape, -1.0)
        indicators[self.labels(model, "logits")[3]] = -0.5
        self.shared(model).assign(indicators)
        for name, channel in (("logits", 3), ("outer", 0)):
            (wrapper,) = [w for w in wrapper_lib.find(model) if w.name == name]
            kernel = wrapper.folded()["kernel"]
            read = np.any(kernel.reshape(-1, *kernel.shape[-2:]), (0, 2))
            np.testing.assert_array_equal(np.flatnonzero(read), [channel])
        small = stripping.strip(model)
        self.assertEqual(small.get_layer("hidden").units, 1)

    def test_the_price_counts_each_channel_once(self):
        model = wrapping.wrap(small_nets.mixed(), Channels(mu=0.5))
        self.assertLen(model.losses, 1)
        self.assertAlmostEqual(float(model.losses[0]), 0.5 * 26)

    @parameterized.parameters("leaky", "softplus")
    @pytest.mark.slow  # Trains for long.
    def test_training_leads_to_a_smaller_network(self, surrogate):
        net = small_nets.mixed()
        model = wrapping.wrap(net, Channels(mu=0.05, surrogate=surrogate))
        trainer = alternating.AlternatingModel(model, keras.optimizers.SGD(0.4))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        trainer.compile("sgd", loss)
        x, y = small_nets.samples(48)
        data = alternating.Interleaved([(x[:32], y[:32])] * 8, [(x, y)])
        trainer.fit(data, epochs=4, verbose=0)
        autoprune.freeze_indicators(model)
        small = stripping.strip(model)
        self.assertLess(counting.cost(small).macs, counting.cost(net).macs)
        model.compile("sgd", loss)
        model.fit(x, y, epochs=1, verbose=0)
        self.assertEqual(
            counting.cost(stripping.strip(model)), counting.cost(small)
        )
        path = os.path.join(self.create_tempdir(), "model.keras")
        model.save(path)
        loaded = keras.saving.load_model(path)
        np.testing.assert_array_equal(to_numpy(model(x)), to_numpy(loaded(x)))
        self.assertLen(wrapper_lib.learned(loaded), 1)
