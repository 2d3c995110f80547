"""PCAS: which channels go, and the three stages."""

import os
from unittest import mock

import keras
import numpy as np
import pytest
from absl.testing import parameterized

import tfprune
from tfprune import zoo
from tfprune.costs import counting
from tfprune.graph import read
from tfprune.graph import values
from tfprune.methods import gates
from tfprune.methods import pcas as pcas_lib
from tfprune.recipes import gated_pruning
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune_test import small_nets

layers = keras.layers
FAST = {"run_eagerly": keras.config.backend() != "jax"}


def state(model):
    return [np.array(values.numpy(v)) for v in model.variables]


def two_layers():
    """A graph with groups of 4 and 4 channels, and where these stand."""
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, name="a")])
    model.add(layers.Dense(4, name="b"))
    model.add(layers.Dense(2))
    graph = read.channel_graph(model)
    return graph, [small_nets.group(None, n, graph)[0].labels for n in "ab"]


def chain_of(channels):
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(channels), layers.Dense(1)]
    )
    return read.channel_graph(model)


class ChooseTest(parameterized.TestCase):
    def removed(self, a1, a2, ratio, ranking, **selection):
        graph, (first, second) = two_layers()
        scores = np.full(graph.size, np.inf)
        scores[first], scores[second] = a1, a2
        keep = gated_pruning.choose(graph, scores, ratio, ranking, **selection)
        return [
            set(np.asarray(a)[~keep[at]].tolist())
            for a, at in ((a1, first), (a2, second))
        ]

    A1 = [0.9, 0.5, 0.4, 0.1]

    @parameterized.parameters(
        ([0.8, 0.7, 0.3, 0.2], 0.5, "global", {0.1, 0.4}, {0.2, 0.3}),
        ([0.8, 0.7, 0.3, 0.2], 0.25, "global", {0.1}, {0.2}),
        ([0.8, 0.7, 0.3, 0.2], 0.5, "group", {0.1, 0.4}, {0.2, 0.3}),
        ([0.8, 0.7, 0.6, 0.55], 0.5, "global", {0.1, 0.4, 0.5}, {0.55}),
        ([0.8, 0.7, 0.6, 0.55], 0.5, "group", {0.1, 0.4}, {0.55, 0.6}),
    )
    def test_one_ratio_settles_it(self, a2, ratio, ranking, first, second):
        self.assertEqual(
            self.removed(self.A1, a2, ratio, ranking), [first, second]
        )

    def test_the_count_is_exact_whatever_a_group_keeps(self):
        low, high = [0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]
        self.assertEqual(
            self.removed(low, high, 0.5, "global"),
            [{0.1, 0.2, 0.3}, {0.5}],
        )
        self.assertEqual(
            self.removed(low, high, 0.5, "global", min_channels=2),
            [{0.1, 0.2}, {0.5, 0.6}],
        )
        with self.assertRaisesRegex(ValueError, "within reach"):
            self.removed(low, high, 0.7, "global", min_channels=2)

    def test_of_equal_means_the_first_channels_go(self):
        graph, (first, second) = two_layers()
        scores = np.full(graph.size, np.inf)
        scores[first] = scores[second] = 0.88
        for ratio, removed in ((0.3, 2), (0.29, 2), (0.375, 3), (0.0, 0)):
            keep = gated_pruning.choose(graph, scores, ratio)
            self.assertEqual(
                keep[first].tolist(), [i >= removed for i in range(4)]
            )
            self.assertTrue(keep[second].all())

    def test_counts_are_floored_as_written(self):
        graph = chain_of(100)
        scores = np.where(graph.removable, 1.0, np.inf)
        for ranking in ("global", "group"):
            keep = gated_pruning.choose(graph, scores, 0.29, ranking)
            self.assertEqual(int((~keep).sum()), 29)

    @parameterized.parameters(-0.1, 1.0, "half", None)
    def test_a_ratio_out_of_range_is_an_error(self, ratio):
        with self.assertRaisesRegex(ValueError, "fraction of channels to"):
            self.removed(self.A1, self.A1, ratio, "global")

    def test_an_unknown_ranking_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "'global' or 'group'"):
            self.removed(self.A1, self.A1, 0.5, "layer")


class ResNet56Test(parameterized.TestCase):
    """The row of ResNet-56 on CIFAR-10, without training."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.graph = read.channel_graph(zoo.build("resnet56"))
        cls.skip = ["stem_conv", "*_conv2"]
        cls.sites = gates.sites(cls.graph, cls.skip)
        rng = np.random.default_rng(0)
        cls.scores = np.full(cls.graph.size, np.inf)
        for site in cls.sites:
            cls.scores[site.labels] = rng.uniform(size=len(site.labels))

    def test_gates_stand_inside_the_blocks_alone(self):
        self.assertLen(self.sites, 27)
        for site in self.sites:
            self.assertRegex(site.path, r"stage\d_block\d_relu1")
        total = int(np.isfinite(self.scores).sum())
        self.assertEqual(total, 9 * (16 + 32 + 64))

    def test_the_published_reduction_is_found_by_bisection(self):
        low, high = 0.0, 0.99
        for _ in range(12):
            ratio = (low + high) / 2
            keep = gated_pruning.choose(
                self.graph, self.scores, ratio, skip=self.skip
            )
            if 1 - self.params(keep) / 848_954 < 0.537:
                low = ratio
            else:
                high = ratio
        self.assertEqual(int((~keep).sum()), int(ratio * 1008))
        # Convolutions and the last layer, without batch normalization.
        self.assertEqual(self.params(np.ones(self.graph.size, bool)), 848_954)
        reduction = 1 - self.params(keep) / 848_954
        self.assertBetween(reduction, 0.5365, 0.5375)
        cost = counting.Meter(self.graph)
        # All weights, with the four of batch normalization.
        self.assertAlmostEqual(
            cost.params(keep) / cost.params(), 1 - reduction, delta=0.003
        )
        # Published: 54.8 % fewer multiply-adds, which depends on the scores.
        self.assertBetween(1 - cost.macs(keep) / 125_485_696, 0.50, 0.58)

    def params(self, keep):
        total = 10
        for layer in self.graph.model.layers:
            kernel = getattr(layer, "kernel", None)
            if kernel is not None:
                shape = list(kernel.shape)
                for b in self.graph.bound(kernel):
                    shape[b.axis] = int(keep[b.labels].sum())
                total += int(np.prod(shape))
        return total

    def test_half_of_each_block_gives_the_known_counts(self):
        keep = gated_pruning.choose(
            self.graph, self.scores, 0.5, "group", skip=self.skip
        )
        meter = counting.Meter(self.graph)
        self.assertEqual(self.params(keep), 425_018)
        self.assertEqual(meter.macs(keep), 62_964_352)


class StagesTest(parameterized.TestCase):
    """The three stages on a small network."""

    def run_pcas(self, model=None, ratio=0.5, data=None, **changes):
        options = {
            "epochs": 1,
            "retrain_epochs": 1,
            "batch_size": 20,
            "compile_args": FAST,
            **changes,
        }
        model = model or small_nets.mixed()
        data = data or small_nets.samples(40)
        return tfprune.recipes.pcas(model, data, ratio, **options)

    @parameterized.parameters(
        ({"epochs": -1}, "`epochs` must be .* epochs=-1"),
        ({"epochs": 1.5}, "epochs=1.5"),
        ({"retrain_epochs": -1}, "retrain_epochs=-1"),
        ({"retrain_epochs": None}, "retrain_epochs=None"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"gate": pcas_lib.AttentionGate}, "such as AttentionGate"),
        ({"optimizer": "no"}, "optimizer"),
        ({"retrain_optimizer": "no"}, "optimizer"),
        ({"statistics": np.ones((3, 2))}, "the mean attention"),
        (
            {"validation_data": (np.ones((3, 2)), np.ones(3))},
            "the validation of PCAS",
        ),
        ({"validation_data": np.ones((3, 8, 8, 3))}, "Labels are needed"),
    )
    def test_what_is_unusable_is_told_before_any_training(self, given, error):
        never = mock.Mock(side_effect=AssertionError)
        with (
            mock.patch.object(pcas_lib, "train", never),
            self.assertRaisesRegex(ValueError, error),
        ):
            self.run_pcas(**given)

    def test_counts_may_be_of_numpy_and_a_callback_alone(self):
        given = {"epochs": np.int64(0), "retrain_epochs": np.int64(0)}
        self.run_pcas(**given, callbacks=None)
        given["retrain_epochs"] = 1
        seen = []
        callback = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append(epoch)
        )
        self.run_pcas(**given, callbacks=callback)
        self.assertEqual(seen, [0])

    def test_what_comes_out_is_plain_and_of_the_exact_size(self):
        model = small_nets.mixed()
        before = state(model)
        small = self.run_pcas(model, 0.5)
        self.assertEmpty(wrapper_lib.find(small))
        for layer in small.layers:
            self.assertStartsWith(type(layer).__module__, "keras.")
        # 6 + 8 + 5 + 7 channels.
        self.assertEqual(counting.cost(model).channels, 26)
        self.assertEqual(counting.cost(small).channels, 13)
        for old, new in zip(before, state(model), strict=True):
            np.testing.assert_array_equal(old, new)
        path = os.path.join(self.create_tempdir(), "small.keras")
        small.save(path)
        loaded = keras.saving.load_model(path)
        x, _ = small_nets.samples(4)
        np.testing.assert_array_equal(
            values.numpy(loaded(x)), values.numpy(small(x))
        )

    @parameterized.parameters(False, True)
    def test_the_backbone_is_frozen_unless_they_train_jointly(self, joint):
        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(6, 3)(inputs)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Dropout(0.5)(layers.Conv2D(5, 3, activation="relu")(x))
        x = layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, layers.Dense(3)(x))
        graph = read.channel_graph(model)
        gated = gates.attach(graph, pcas_lib.AttentionGate())
        slots = gates.layer_at(gated, model.layers[3].name).slots
        ours = {
            id(v)
            for w in wrapper_lib.find(gated)
            for v in w.slots["outputs"].variables.values()
        }
        before = state(gated)
        loss = keras.losses.SparseCategoricalCrossentropy(True)
        pcas_lib.train(
            gated,
            small_nets.samples(40),
            {"loss": loss, **FAST},
            joint,
            epochs=2,
            batch_size=16,
            verbose=0,
        )
        changed = {
            id(v)
            for v, old in zip(gated.variables, before, strict=True)
            if not np.array_equal(old, values.numpy(v))
        }
        self.assertIn(id(slots["outputs"]["expand_bias"]), changed)
        bn = gates.layer_at(gated, model.layers[2].name)
        if joint:
            self.assertIn(id(bn.moving_mean), changed)
            self.assertIn(id(model_layer(gated, model, 1).kernel), changed)
        else:
            self.assertEmpty(changed - ours)

    def test_gates_of_frozen_layers_learn_jointly_too(self):
        inputs = keras.Input((6,))
        inner = [keras.Input((6,)), layers.Dense(5, "relu", name="inner")]
        x = keras.Sequential(inner, name="nested")(inputs)
        x = layers.ReLU(name="relu")(layers.Dense(7, name="tuned")(x))
        model = keras.Model(inputs, layers.Dense(3)(x))
        model.get_layer("nested").trainable = False
        model.get_layer("relu").trainable = False
        gated = gates.attach(
            read.channel_graph(model), pcas_lib.AttentionGate()
        )
        data = np.ones((4, 6)), np.ones((4, 3))
        options = {"batch_size": 2, "epochs": 1, "verbose": 0}
        before = [values.numpy(v).copy() for v in gated.variables]
        pcas_lib.train(gated, data, {"loss": "mse", **FAST}, True, **options)
        changed = {
            "/".join(v.path.split("/")[-2:])
            for v, old in zip(gated.variables, before, strict=True)
            if not np.array_equal(old, values.numpy(v))
        }
        self.assertIn("inner/outputs_expand_bias", changed)
        self.assertIn("relu/outputs_expand_bias", changed)
        self.assertIn("tuned/kernel", changed)
        self.assertNotIn("inner/kernel", changed)
        self.assertFalse(gated.get_layer("nested").trainable)
        self.assertFalse(gated.get_layer("relu").trainable)

    def test_without_retraining_the_weights_are_slices(self):
        model = small_nets.mixed()
        skip = ["stem", "inner", "down"]
        small = self.run_pcas(model, 0.4, skip=skip, retrain_epochs=0)
        self.assertEqual(small.get_layer("hidden").units, 5)
        old, new = (
            set(values.numpy(m.get_layer("hidden").bias).tolist())
            for m in (model, small)
        )
        self.assertLessEqual(new, old)
        kernel = values.numpy(model.get_layer("logits").kernel)
        rows = {row.tobytes() for row in kernel}
        for row in values.numpy(small.get_layer("logits").kernel):
            self.assertIn(row.tobytes(), rows)

    @parameterized.parameters(
        ({}, {"a": 0.5, "b": 2.0}),
        ({"loss_weights": {"a": 1.0, "b": 0.0}}, {"a": 1.0, "b": 0.0}),
    )
    def test_weights_of_losses_are_those_given_or_else_the_models(
        self, given, expected
    ):
        x = inputs = keras.Input((6,))
        for units in (8, 8):
            x = layers.ReLU()(layers.Dense(units)(x))
        outputs = [layers.Dense(1, name=name)(x) for name in ("a", "b")]
        model = keras.Model(inputs, outputs)
        model.compile(
            "sgd", {"a": "mse", "b": "mse"}, loss_weights={"a": 0.5, "b": 2.0}
        )
        y = {"a": np.ones((8, 1)), "b": np.ones((8, 1))}
        small = self.run_pcas(
            model,
            data=(np.ones((8, 6)), y),
            epochs=0,
            retrain_epochs=0,
            compile_args={**FAST, **given},
        )
        found = small.get_compile_config()["loss_weights"]
        self.assertEqual(found, expected)

    def test_a_wrapped_model_is_unwrapped_first(self):
        model = small_nets.mixed()
        wrapped = tfprune.wrap(model, tfprune.methods.Masked())
        small, expected = (
            self.run_pcas(each, 0.5, epochs=0, retrain_epochs=0)
            for each in (wrapped, model)
        )
        self.assertEqual(small.count_params(), expected.count_params())

    def test_a_budget_does_in_place_of_a_ratio(self):
        model = small_nets.mixed()
        budget = tfprune.Budget(params=0.5)
        small = self.run_pcas(model, budget, retrain_epochs=0)
        dense, after = counting.cost(model).params, counting.cost(small).params
        self.assertLessEqual(after, dense / 2)
        self.assertGreater(after, dense / 3)

    @pytest.mark.slow  # Trains.
    def test_joint_training_retrains_what_it_trained(self):
        model = small_nets.mixed()
        small = self.run_pcas(model, 0.0, joint=True, retrain_epochs=0)
        self.assertFalse(
            np.array_equal(
                values.numpy(small.get_layer("stem").kernel),
                values.numpy(model.get_layer("stem").kernel),
            )
        )
        still = self.run_pcas(model, 0.0, retrain_epochs=0)
        for old, new in zip(state(model), state(still), strict=True):
            np.testing.assert_array_equal(old, new)

    def test_fold_is_what_a_constant_gate_would_do(self):
        model = small_nets.mixed()
        skip = ["stem"]  # A sum has no one factor.
        gate = pcas_lib.AttentionGate(bias=0.3)
        # Untrained gates are constant: sigmoid(bias).
        small = self.run_pcas(
            model,
            0.0,
            gate=gate,
            epochs=0,
            retrain_epochs=0,
            skip=skip,
            fold=True,
        )
        gated = gates.attach(read.channel_graph(model), gate, skip)
        x, _ = small_nets.samples(4)
        np.testing.assert_allclose(
            values.numpy(small(x)), values.numpy(gated(x)), atol=1e-5
        )
        plain = values.numpy(model(x))
        self.assertGreater(np.abs(values.numpy(small(x)) - plain).max(), 0.01)

    def test_finished_stages_are_not_done_again(self):
        folder = self.create_tempdir().full_path
        model = small_nets.mixed()
        seen = []

        class Stop(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                seen.append(epoch)
                if len(seen) == 2:
                    raise KeyboardInterrupt

        options = {
            "checkpoint_dir": folder,
            "retrain_epochs": 3,
            "callbacks": [Stop()],
        }
        with self.assertRaises(KeyboardInterrupt):
            self.run_pcas(model, **options)
        self.assertContainsSubset(
            ["gates.json", "statistics.json"], os.listdir(folder)
        )
        never = mock.Mock(side_effect=AssertionError)
        with mock.patch.multiple(pcas_lib, train=never, measure=never):
            small = self.run_pcas(model, **options)
            # Stopped before the second epoch was saved.
            self.assertEqual(seen, [0, 1, 1, 2])
            again = self.run_pcas(model, **options)
        self.assertLen(seen, 4)
        for old, new in zip(state(small), state(again), strict=True):
            np.testing.assert_array_equal(old, new)
        self.assertCountEqual(
            [f for f in os.listdir(folder) if "." in f],
            [
                f"{stage}.{ending}"
                for stage in ("gates", "statistics", "retrained")
                for ending in ("json", "npz")
            ],
        )

    @pytest.mark.slow  # Trains.
    def test_a_folder_of_other_settings_is_refused(self):
        folder = self.create_tempdir().full_path
        model = small_nets.mixed()
        self.run_pcas(model, checkpoint_dir=folder)
        for changes, what in (
            ({"epochs": 3}, "differs in epochs"),
            ({"ratio": 0.2}, "'retrained' differs in keep"),
            ({"model": small_nets.mixed()}, "differs in weights"),
        ):
            with self.assertRaisesRegex(ValueError, what):
                self.run_pcas(
                    **{"model": model, "checkpoint_dir": folder, **changes}
                )

    def test_errors_come_before_the_training(self):
        never = mock.Mock(side_effect=AssertionError)
        x, y = small_nets.samples(8)
        plain = small_nets.mixed()
        plain = keras.Model(plain.inputs, plain.outputs)
        broken = small_nets.mixed()
        broken.variables[0].assign(np.full(broken.variables[0].shape, np.nan))
        with mock.patch.object(pcas_lib, "train", never):
            for options, message in (
                ({"ratio": 1.5}, "fraction of channels to"),
                ({"ranking": "layer"}, "'global' or 'group'"),
                ({"data": (x, None)}, "Labels are needed for PCAS"),
                ({"data": iter([(x, y)])}, "read several times"),
                ({"skip": "nothing"}, "Every pattern of `skip`"),
                ({"skip": "*"}, "a layer of its own"),
                ({"model": plain}, "A loss is needed for PCAS"),
                ({"model": broken}, "Finite weights"),
                ({"fold": True}, "inputs have different gates"),
            ):
                with self.assertRaisesRegex(ValueError, message):
                    self.run_pcas(**options)


def model_layer(gated, model, index):
    return gates.layer_at(gated, model.layers[index].name)
