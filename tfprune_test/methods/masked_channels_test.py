import os

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.callbacks import prune_on_schedule as callback_lib
from tfprune.costs import counting
from tfprune.criteria import taylor
from tfprune.deploy import latency
from tfprune.graph import read
from tfprune.methods import autoprune
from tfprune.methods import masked_channels
from tfprune.methods import pcas
from tfprune.schedules import schedule as schedule_lib
from tfprune.selection import budget as budget_lib
from tfprune.sparsity import chain
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import pruning
from tfprune.surgery import stripping

pytestmark = pytest.mark.any_backend

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy


def net():
    """Residual, depthwise, with a nested head and a shared layer."""
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = layers.Activation("swish")(layers.BatchNormalization()(x))
    y = layers.Conv2D(12, 1, name="expand")(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)
    y = layers.Conv2D(8, 1, name="project")(y)
    x = layers.GlobalAveragePooling2D()(x + y)
    head = keras.Sequential(
        [layers.Dense(10, "relu", name="hidden"), layers.Dense(3)], name="head"
    )
    model = keras.Model(inputs, head(x))
    random = np.random.default_rng(0)
    for variable in model.weights:
        noise = 0.1 * random.normal(size=variable.shape)
        variable.assign(to_numpy(variable) + np.abs(noise))
    return model


def data(count=16):
    random = np.random.default_rng(1)
    x = random.normal(size=(count, 6, 6, 3)).astype("float32")
    return x, np.eye(3)[np.arange(count) % 3]


class MaskedChannelsTest(parameterized.TestCase):
    def test_a_channel_counts_as_long_as_one_layer_reads_it(self):
        model = net()
        kernel = model.get_layer("head").get_layer("hidden").kernel
        kernel.assign(to_numpy(kernel) * (np.arange(8) > 0)[:, None])
        wrapped = wrapping.wrap(model, masked_channels.MaskedChannels())
        ((method, slots),) = wrapper_lib.groups(wrapped)
        self.assertEqual(method.figures(wrapped, slots)["macs_ratio"], 1.0)
        self.check_strip(wrapped)

    def check_strip(self, wrapped):
        """Stripping takes out what the masks promise, exactly."""
        ((method, slots),) = wrapper_lib.groups(wrapped)
        promised = method.figures(wrapped, slots)["macs_ratio"]
        dense = counting.cost(wrapping.unwrap(wrapped))
        small = stripping.strip(wrapped)
        cost = counting.cost(small)
        self.assertEqual(cost.macs, round(promised * dense.macs))
        self.assertEmpty(wrapper_lib.find(small))
        x, _ = data()
        np.testing.assert_allclose(
            to_numpy(wrapped(x)), to_numpy(small(x)), atol=1e-5
        )
        return cost, dense

    @parameterized.product(
        of=("channels", "macs", "params", "peak_bytes"), sparsity=(0.25, 0.4)
    )
    def test_the_fraction_goes_exactly(self, of, sparsity):
        method = masked_channels.MaskedChannels(of=of)
        wrapped = wrapping.wrap(net(), method)
        callback_lib.prune_now(wrapped, sparsity)
        cost, dense = self.check_strip(wrapped)
        left = getattr(cost, of) / getattr(dense, of)
        self.assertLessEqual(left, 1 - sparsity)
        self.assertGreater(left, 1 - sparsity - 0.2)

    def test_a_criterion_refines_its_choice_as_in_prune(self):
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [keras.Input((6,)), *(layers.Dense(16) for _ in range(4))]
        )
        x = np.ones((2, 6))
        method = masked_channels.MaskedChannels("l1_greedy", ranking="group")
        wrapped = wrapping.wrap(model, method)
        callback_lib.prune_now(wrapped, 0.5)
        same, plain = (
            pruning.prune(model, 0.5, name)(x) for name in ("l1_greedy", "l1")
        )
        found = stripping.strip(wrapped)(x)
        np.testing.assert_allclose(found, same, rtol=1e-4, atol=1e-6)
        self.assertGreater(np.abs(np.subtract(plain, same)).max(), 0.01)

    def test_no_sparsity_masks_nothing(self):
        wrapped = wrapping.wrap(net(), masked_channels.MaskedChannels())
        callback_lib.prune_now(wrapped, 0.5)
        self.assertGreater(wrapper_lib.sparsity(wrapped), 0.1)
        callback_lib.prune_now(wrapped, 0.0)
        self.assertEqual(wrapper_lib.sparsity(wrapped), 0.0)
        cost, dense = self.check_strip(wrapped)
        self.assertEqual(cost, dense)

    @pytest.mark.slow  # Many cuts.
    def test_a_budget_is_approached_step_by_step(self):
        wrapped = wrapping.wrap(net(), masked_channels.MaskedChannels())
        budget = budget_lib.Budget(macs=0.4, params=300)
        ratios = []
        for progress in (0.0, 0.5, 1.0):
            callback_lib.prune_now(wrapped, progress, budget)
            cost, dense = self.check_strip(wrapped)
            ratios.append(cost.macs / dense.macs)
        self.assertEqual(ratios[0], 1.0)
        self.assertLessEqual(ratios[1], 0.7)
        self.assertGreater(ratios[1], ratios[2])
        self.assertLessEqual(ratios[2], 0.4)
        self.assertLessEqual(cost.params, 300)

    def test_latencies_of_less_than_a_microsecond(self):
        graph = read.channel_graph(net())
        table = latency.LatencyTable("int8", 1.7, {})
        budget = budget_lib.Budget(latency=0.4, latency_table=table)
        for progress, expected in ((0.0, 1.7), (0.5, 1.19), (1.0, 0.68)):
            now = masked_channels._on_the_way(budget, progress, graph)
            (allowed,) = now.ceilings(now.meter(graph)).values()
            self.assertAlmostEqual(allowed, expected)

    @parameterized.parameters((1, 4), (3, 3))
    def test_groups_keep_multiples_for_the_target_of_a_budget(
        self, given, multiple
    ):
        method = masked_channels.MaskedChannels(channel_multiple=given)
        wrapped = wrapping.wrap(net(), method)
        budget = budget_lib.Budget(macs=0.6, target="cortex-m4")
        callback_lib.prune_now(wrapped, 1.0, budget)
        small = stripping.strip(wrapped)
        found = [
            small.get_layer("stem").filters,
            small.get_layer("expand").filters,
            small.get_layer("head").get_layer("hidden").units,
        ]
        for kept, whole in zip(found, (8, 12, 10), strict=True):
            self.assertIn(kept, [*range(0, whole, multiple), whole])

    def test_channels_come_back_when_weights_grow(self):
        wrapped = wrapping.wrap(net(), masked_channels.MaskedChannels())
        kernel = next(
            w.layer.kernel
            for w in wrapper_lib.find(wrapped)
            if w.name == "expand"
        )
        project = next(
            w for w in wrapper_lib.find(wrapped) if w.name == "project"
        )
        found = []
        for weak in (0, 5):
            values = np.ones(kernel.shape)
            values[..., weak] = 1e-3
            kernel.assign(values)
            callback_lib.prune_now(wrapped, 0.05)
            mask = to_numpy(project.slots["kernel"]["mask"])
            found.append(np.flatnonzero(~mask.any((0, 1, 3))).tolist())
        self.assertEqual(found, [[0], [5]])

    @parameterized.parameters("l1", "l1_greedy")
    def test_channels_that_nothing_reads_any_more_go_first(self, criterion):
        x = inputs = keras.Input((6,))
        x = layers.Dense(8, name="writer")(x)
        model = keras.Model(inputs, layers.Dense(3, name="reader")(x))
        # The largest filters are those of channels 4 to 7.
        writer = np.arange(1.0, 9.0) * np.ones((6, 1))
        model.get_layer("writer").kernel.assign(writer)
        reader = np.ones((8, 3)) * np.repeat([[1.0], [0.0]], 4, 0)
        model.get_layer("reader").kernel.assign(reader)
        method = masked_channels.MaskedChannels(criterion)
        wrapped = wrapping.wrap(model, method)
        for sparsity, kept in ((0.0, 4), (0.5, 4), (0.75, 2)):
            callback_lib.prune_now(wrapped, sparsity)
            small = stripping.strip(wrapped)
            found = to_numpy(small.get_layer("writer").kernel)
            expected = writer[:, 4 - kept : 4]
            np.testing.assert_array_equal(found, expected)

    def test_channels_that_others_read_stay(self):
        method = masked_channels.MaskedChannels()
        wrapped = wrapping.wrap(net(), method, ["project", "head/*"])
        callback_lib.prune_now(wrapped, 0.3)
        self.check_strip(wrapped)
        small = stripping.strip(wrapped)
        self.assertEqual(small.get_layer("stem").filters, 8)
        self.assertLess(small.get_layer("expand").filters, 12)

    def test_options_of_selection_are_passed_on(self):
        method = masked_channels.MaskedChannels(
            skip="expand", channel_multiple=4, min_channels=4
        )
        wrapped = wrapping.wrap(net(), method)
        callback_lib.prune_now(wrapped, 0.3)
        small = stripping.strip(wrapped)
        self.assertEqual(small.get_layer("expand").filters, 12)
        self.assertEqual(small.get_layer("stem").filters % 4, 0)

    @parameterized.parameters("taylor", "synflow", pcas.PCAS(epochs=1))
    def test_criteria_that_run_the_model_in_a_chain(self, criterion):
        model = keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(8, "relu", name="first"),
                layers.Dense(8, "relu", name="second"),
                layers.Dense(3),
            ]
        )
        masks = masked_channels.MaskedChannels(criterion)
        both = chain.Chain((masks, autoprune.AutoPruneChannels()))
        wrapped = wrapping.wrap(model, both)
        wrapped.compile("sgd", "mse")
        x = np.random.default_rng(0).normal(size=(8, 6))
        callback_lib.prune_now(wrapped, 0.5, data=(x, x[:, :3]))
        small = stripping.strip(wrapped)
        kept = [small.get_layer(name).units for name in ("first", "second")]
        self.assertEqual(sum(kept), 8)
        np.testing.assert_allclose(wrapped(x), small(x), atol=1e-5)

    @pytest.mark.slow  # Trains.
    def test_pruning_inside_fit_with_gradients_as_the_criterion(self):
        model = wrapping.wrap(
            net(), masked_channels.MaskedChannels("taylor", of="macs")
        )
        model.compile("adam", "mse")
        pruning = callback_lib.PruneOnSchedule(
            schedule_lib.Polynomial(0.0, 0.5, begin=1, end=6, frequency=2),
            data=data(),
        )
        history = model.fit(
            *data(), batch_size=4, epochs=2, verbose=0, callbacks=[pruning]
        )
        cost, dense = self.check_strip(model)
        self.assertLessEqual(cost.macs / dense.macs, 0.5)
        self.assertEqual(
            history.history["macs_ratio"][-1], cost.macs / dense.macs
        )

    def test_the_logs_count_the_masks_of_all_methods(self):
        first, second = (
            masked_channels.MaskedChannels(skip=skip)
            for skip in ("expand", "stem")
        )
        apart = wrapping.wrap(net(), first, ["stem", "expand", "head/*"])
        apart = wrapping.wrap(apart, second, ["depthwise", "project"])
        together = wrapping.wrap(net(), chain.Chain((first, second)))
        for wrapped in (apart, together):
            callback_lib.prune_now(wrapped, 0.1)
            dense = counting.cost(wrapping.unwrap(wrapped)).macs
            left = counting.cost(stripping.strip(wrapped)).macs
            self.assertEqual(
                wrapper_lib.figures(wrapped), {"macs_ratio": left / dense}
            )

    @parameterized.parameters(
        masked_channels.MaskedChannels(skip=("a", "b")),
        masked_channels.MaskedChannels("l2", of="params", normalize="max"),
    )
    def test_a_saved_model_keeps_its_masks(self, method):
        wrapped = wrapping.wrap(net(), masked_channels.MaskedChannels())
        callback_lib.prune_now(wrapped, 0.4)
        path = os.path.join(self.create_tempdir(), "model.keras")
        wrapped.save(path)
        loaded = keras.saving.load_model(path)
        x, _ = data()
        np.testing.assert_array_equal(to_numpy(wrapped(x)), to_numpy(loaded(x)))
        config = keras.saving.serialize_keras_object(method)
        again = keras.saving.deserialize_keras_object(config)
        self.assertEqual(again, method)

    @parameterized.parameters(
        (dict(criterion="l7"), "l7"),
        (dict(of="watts"), "`of` must be one of macs, .*Received: of='watts'"),
        (dict(of="latency"), "of='latency'"),  # which needs a table
        (dict(of="depth"), "of='depth'"),
    )
    def test_errors_of_arguments(self, arguments, message):
        with self.assertRaisesRegex((ValueError, TypeError), message):
            masked_channels.MaskedChannels(**arguments)

    def test_everything_cannot_go(self):
        wrapped = wrapping.wrap(net(), masked_channels.MaskedChannels())
        with self.assertRaisesRegex(ValueError, "must remain"):
            callback_lib.prune_now(wrapped, 1.0)

    @parameterized.parameters(
        taylor.Taylor,
        taylor.Taylor(),
        lambda values, axis: np.ones(values.shape[axis]),
    )
    @pytest.mark.slow  # Compiles each.
    def test_a_criterion_may_be_an_object(self, criterion):
        method = masked_channels.MaskedChannels(criterion)
        wrapped = wrapping.wrap(net(), method)
        wrapped.compile(loss="mse")
        callback_lib.prune_now(wrapped, 0.3, data=data())
        self.check_strip(wrapped)

    def test_a_criterion_without_a_name_cannot_be_loaded(self):
        def nameless(values, axis):
            return np.ones(values.shape[axis])

        with self.assertLogs("absl", "WARNING") as logs:
            method = masked_channels.MaskedChannels(nameless)
        self.assertIn("not registered: nameless", logs.output[0])
        with self.assertRaisesRegex(ValueError, "registered.*nameless"):
            masked_channels.MaskedChannels.from_config(method.get_config())
        with self.assertNoLogs("absl", "WARNING"):
            named = masked_channels.MaskedChannels(taylor.Taylor())
        self.assertEqual(named.get_config()["criterion"], "taylor")

    @parameterized.parameters(
        ("hrank", data(), 0.6, True),
        ("hrank", data(), 0.7, False),
        ("hrank", iter([data()]), 0.7, True),  # which shows only later
        ("slimming", None, 0.6, True),
        ("slimming", None, 0.7, False),
    )
    def test_what_the_criterion_cannot_score_is_counted_before_the_training(
        self, criterion, given, sparsity, fits
    ):
        # Dense layers have neither feature maps nor scales.
        wrapped = wrapping.wrap(
            net(), masked_channels.MaskedChannels(criterion)
        )
        wrapped.compile("sgd", "mse")
        pruning = callback_lib.PruneOnSchedule(sparsity, data=given)
        pruning.set_model(wrapped)
        pruning.set_params({"epochs": 1, "steps": 2})
        if fits:
            return pruning.on_train_begin()
        with self.assertRaisesRegex(ValueError, "within reach"):
            pruning.on_train_begin()

    @parameterized.parameters((0.4, True), (0.6, False))
    def test_channels_that_no_gate_follows_are_counted_before_the_training(
        self, sparsity, fits
    ):
        inputs = keras.Input((4,))
        x = layers.Dense(8)(layers.Dense(8, "relu")(inputs))
        x = layers.Dense(3)(keras.ops.relu(x))
        method = masked_channels.MaskedChannels("pcas")
        wrapped = wrapping.wrap(keras.Model(inputs, x), method)
        wrapped.compile("sgd", "mse")
        given = np.ones((4, 4)), np.ones((4, 3))
        pruning = callback_lib.PruneOnSchedule(sparsity, data=given)
        pruning.set_model(wrapped)
        pruning.set_params({"epochs": 1, "steps": 2})
        if fits:
            return pruning.on_train_begin()
        with self.assertRaisesRegex(ValueError, "within reach"):
            pruning.on_train_begin()

    @parameterized.parameters(
        ("taylor", "mse", None, "'taylor' needs inputs and labels"),
        (taylor.Taylor(), "mse", None, "'taylor' needs inputs and labels"),
        ("wanda", "mse", None, "'wanda' needs inputs.*data=None"),
        ("taylor", None, data(), "A loss is needed for the criterion"),
    )
    def test_what_the_criterion_lacks_is_said_before_the_training(
        self, criterion, loss, given, message
    ):
        method = masked_channels.MaskedChannels(criterion)
        wrapped = wrapping.wrap(net(), method)
        wrapped.compile("sgd", loss)
        pruning = callback_lib.PruneOnSchedule(0.3, data=given)
        pruning.set_model(wrapped)
        pruning.set_params({"epochs": 1, "steps": 2})
        with self.assertRaisesRegex(ValueError, message):
            pruning.on_train_begin()
