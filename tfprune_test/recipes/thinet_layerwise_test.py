"""What the next layer notices."""

import keras
import numpy as np
import pytest
from absl.testing import parameterized

import tfprune
from tfprune.costs import counting
from tfprune.graph import read
from tfprune.graph import values
from tfprune.recipes import thinet_layerwise
from tfprune.scoring import score
from tfprune.surgery import pruning
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend

layers = keras.layers

X1 = np.array([[1, 0.1, 2], [2, -0.1, 1], [0, 0.2, 1], [1, 0, 0]])
# Columns a, b, c.
X2 = np.array([[1, -1, 0.1], [1, -1, 0]])


def removed(algorithm, x, kept):
    order = thinet_layerwise.ALGORITHMS.get(algorithm)(x.T @ x)
    return set(order[: x.shape[1] - kept].tolist())


def residual(x, kept, w):
    return float(np.linalg.norm(x.sum(1) - x[:, kept] @ w))


class ThiNetAlgorithmTest(parameterized.TestCase):
    @parameterized.parameters("iccv", "tpami")
    def test_the_channel_that_adds_least_goes(self, algorithm):
        self.assertEqual(removed(algorithm, X1, 2), {1})

    def test_scales_make_up_for_what_went(self):
        kept = np.array([True, False, True])
        self.assertAlmostEqual(residual(X1, kept, [1, 1]), 0.24495, places=5)
        w = thinet_layerwise.scales(X1.T @ X1, kept, ridge=0)
        np.testing.assert_allclose(w, [0.91, 1.11])
        self.assertAlmostEqual(residual(X1, kept, w), 0.13416, places=5)

    def test_the_algorithms_differ_on_channels_that_cancel(self):
        self.assertEqual(removed("iccv", X2, 1), {1, 2})
        kept = np.array([True, False, False])
        w = thinet_layerwise.scales(X2.T @ X2, kept, ridge=0)
        np.testing.assert_allclose(w, [0.05])
        self.assertAlmostEqual(residual(X2, kept, w), 0.0707, places=4)
        self.assertEqual(removed("tpami", X2, 1), {0, 1})
        kept = np.array([False, False, True])
        w = thinet_layerwise.scales(X2.T @ X2, kept, ridge=0)
        np.testing.assert_allclose(w, [1.0])
        self.assertAlmostEqual(residual(X2, kept, w), 0.0, places=6)

    @parameterized.parameters("iccv", "tpami")
    def test_the_gram_matrix_gives_what_the_definition_gives(self, algorithm):
        rng = np.random.default_rng(4)
        x = rng.normal(size=(60, 7)) * rng.uniform(0.2, 2, 7)
        order = thinet_layerwise.ALGORITHMS.get(algorithm)(x.T @ x).tolist()
        self.assertEqual(order, _DEFINITIONS[algorithm](x))

    def test_channels_that_repeat_others_are_taken_last(self):
        x = np.random.default_rng(5).normal(size=(50, 3))
        x = np.concatenate([x, x[:, :1], np.zeros((50, 1))], 1)
        order = thinet_layerwise.tpami(x.T @ x)
        self.assertCountEqual(order, range(5))
        self.assertLen({0, 3} & set(order[2:].tolist()), 1)

    def test_a_dead_channel_does_not_upset_the_scales(self):
        x = np.concatenate([X1, np.zeros((4, 1))], 1)
        kept = np.array([True, False, True, True])
        w = thinet_layerwise.scales(x.T @ x, kept)
        np.testing.assert_allclose(w, [0.91, 1.11, 1.0], atol=1e-4)


def _by_removal(x):
    """Tries every channel, as the formula is written."""
    gone, left = [], list(range(x.shape[1]))
    while left:
        best = min(left, key=lambda j: np.sum(x[:, [*gone, j]].sum(1) ** 2))
        gone.append(best)
        left.remove(best)
    return gone


def _by_selection(x):
    kept, left, e = [], list(range(x.shape[1])), x.sum(1)
    while left:
        rest = {
            j: np.linalg.norm(e - x[:, j] @ e / (x[:, j] @ x[:, j]) * x[:, j])
            for j in left
        }
        best = min(left, key=rest.get)
        kept.append(best)
        left.remove(best)
        w = np.linalg.pinv(x[:, kept]) @ x.sum(1)
        e = x.sum(1) - x[:, kept] @ w
    return kept[::-1]


_DEFINITIONS = {"iccv": _by_removal, "tpami": _by_selection}


class ThiNetTest(parameterized.TestCase):
    def test_rows_sum_up_to_outputs_of_the_reading_layer(self):
        model = small_nets.mixed()
        model.get_layer("inner").bias.assign(np.zeros(8))
        group, graph = small_nets.group(model, "stem")
        (gram,) = [
            g
            for g in thinet_layerwise.ThiNet().grams(
                graph, small_nets.samples(), graph.removable
            )
            if g.reader.path == "inner"
        ]
        # 32 samples, 10 positions; the mean square of y is that of the layer.
        view = keras.Model(model.input, model.get_layer("inner").output)
        y = np.asarray(view(small_nets.samples()[0]))
        np.testing.assert_array_equal(gram.channels, np.sort(group.labels))
        self.assertAlmostEqual(
            gram.matrix.sum() / 320 / np.square(y).mean(), 1, delta=0.2
        )

    @parameterized.parameters("thinet", "thinet_tpami")
    def test_scores_are_ranks_within_each_group(self, name):
        graph = read.channel_graph(small_nets.mixed())
        scores = score.channel_scores(graph, name, small_nets.samples())
        for group in graph.groups:
            if not group.frozen:
                self.assertCountEqual(
                    scores[group.labels], range(1, len(group) + 1)
                )

    def test_a_channel_that_nobody_uses_is_the_first_to_go(self):
        for name, readers, axis, width in (
            ("stem", ("inner", "down"), 2, 6),
            ("inner", ("outer",), 2, 8),
            ("down", ("hidden",), 0, 5),
        ):
            model = small_nets.mixed()
            for layer in map(model.get_layer, readers):
                kernel = np.array(values.numpy(layer.kernel))
                np.moveaxis(kernel, axis, 0)[3::width] = 0
                layer.kernel.assign(kernel)
            group, graph = small_nets.group(model, name)
            scores = score.channel_scores(graph, "thinet", small_nets.samples())
            self.assertEqual(np.argmin(scores[group.labels]), 3)

    def test_layer_by_layer_keeps_the_counts_of_the_ratio(self):
        model = small_nets.mixed()
        weights = [np.array(w) for w in model.get_weights()]
        small = thinet_layerwise.thinet(
            model, 0.5, small_nets.samples(), "tpami"
        )
        expected = pruning.prune(model, 0.5)
        self.assertEqual(small.count_params(), expected.count_params())
        for before, after in zip(weights, model.get_weights(), strict=True):
            np.testing.assert_array_equal(before, after)

    def test_a_wrapped_model_is_unwrapped_first(self):
        model = small_nets.mixed()
        wrapped = tfprune.wrap(model, tfprune.methods.Masked())
        small, expected = (
            thinet_layerwise.thinet(each, 0.5, small_nets.samples())
            for each in (wrapped, model)
        )
        for a, b in zip(small.weights, expected.weights, strict=True):
            np.testing.assert_array_equal(values.numpy(a), values.numpy(b))

    def test_a_budget_is_met_by_one_ratio_for_all(self):
        model = small_nets.mixed()
        budget = tfprune.Budget(macs=0.5)
        small = thinet_layerwise.thinet(model, budget, small_nets.samples())
        dense, after = counting.cost(model).macs, counting.cost(small).macs
        self.assertLessEqual(after, dense / 2)
        self.assertGreater(after, dense / 4)

    def test_a_budget_is_met_beside_channels_that_it_cannot_score(self):
        x = inputs = keras.Input((6, 3))
        x = layers.Conv1D(8, 3, activation="relu", name="conv")(x)
        x = layers.LSTM(8, name="lstm")(x)  # reads channels without patches
        model = keras.Model(inputs, layers.Dense(4, name="head")(x))
        images = np.random.default_rng(0).normal(size=(8, 6, 3))
        small = thinet_layerwise.thinet(
            model, tfprune.Budget(macs=0.5), images.astype("float32")
        )
        dense, after = counting.cost(model).macs, counting.cost(small).macs
        self.assertLessEqual(after, dense / 2)
        self.assertEqual(small.get_layer("conv").filters, 8)

    def test_a_budget_out_of_reach_of_its_scores_is_an_error(self):
        x = inputs = keras.Input((6, 3))
        x = layers.Conv1D(8, 3, activation="relu", name="conv")(x)
        x = layers.LSTM(8, name="lstm")(x)
        model = keras.Model(inputs, layers.Dense(4, name="head")(x))
        budget = tfprune.Budget(macs=0.05)
        with self.assertRaisesRegex(ValueError, "must be within reach"):
            thinet_layerwise.thinet(model, budget, np.zeros((4, 6, 3)))

    def test_scales_make_up_for_channels_that_repeat_others(self):
        inputs = keras.Input((5,))
        x = layers.Dense(6, activation="relu", name="writer")(inputs)
        model = keras.Model(inputs, layers.Dense(3, name="reader")(x))
        rng = np.random.default_rng(2)
        model.get_layer("writer").kernel.assign(
            np.tile(rng.normal(size=(5, 3)), 2)
        )
        model.get_layer("reader").kernel.assign(
            np.tile(rng.normal(size=(3, 3)), (2, 1))
        )
        x = rng.normal(size=(200, 5)).astype("float32")
        small = thinet_layerwise.thinet(model, 0.5, x, "tpami")
        self.assertEqual(small.get_layer("writer").units, 3)
        np.testing.assert_allclose(
            values.numpy(small(x)), values.numpy(model(x)), atol=1e-3
        )
        plain = pruning.prune(model, 0.5, "thinet_tpami", data=x)
        np.testing.assert_allclose(
            values.numpy(plain(x)), values.numpy(model(x)) / 2, atol=1e-3
        )

    def test_nothing_to_remove_changes_nothing(self):
        model = small_nets.mixed()
        small = thinet_layerwise.thinet(model, 0.0, small_nets.samples())
        for a, b in zip(model.get_weights(), small.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_the_user_trains_after_every_layer(self):
        seen = []

        def fine_tune(model):
            seen.append(counting.cost(model).channels)
            model.get_layer("logits").bias.assign([1.0, 2.0, 3.0])
            return model

        small = thinet_layerwise.thinet(
            small_nets.mixed(),
            {"stem": 0.5, "inner": 0.25},
            small_nets.samples(),
            fine_tune=fine_tune,
        )
        # 6 + 8 + 5 + 7 channels, of which the stem loses 3, the inner 2.
        self.assertEqual(seen, [23, 21])
        np.testing.assert_array_equal(
            small.get_layer("logits").bias, [1.0, 2.0, 3.0]
        )

    def test_training_returns_a_model(self):
        for fine_tune, error in ((3, ValueError), (lambda x: None, TypeError)):
            with self.assertRaisesRegex(error, "Received: .*fine_tune"):
                thinet_layerwise.thinet(
                    small_nets.mixed(),
                    0.5,
                    small_nets.samples(),
                    fine_tune=fine_tune,
                )

    def test_the_seed_settles_the_draw(self):
        graph = read.channel_graph(small_nets.mixed())
        grams = [
            thinet_layerwise.ThiNet(seed=seed)
            .grams(graph, small_nets.samples(), graph.removable)[0]
            .matrix
            for seed in (1, 1, 2)
        ]
        np.testing.assert_array_equal(grams[0], grams[1])
        self.assertFalse(np.array_equal(grams[0], grams[2]))

    def test_data_that_end_after_one_reading_are_an_error(self):
        batches = iter([small_nets.samples()])
        with self.assertRaisesRegex(ValueError, "layer by layer"):
            thinet_layerwise.thinet(small_nets.mixed(), 0.5, batches)

    def test_grouped_convolutions_are_read_group_by_group(self):
        inputs = keras.Input((6, 6, 3))
        x = layers.Conv2D(8, 3, name="writer")(inputs)
        x = layers.Conv2D(6, 3, 2, groups=2, use_bias=False, name="reader")(x)
        model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
        graph = read.channel_graph(model)
        x = np.random.default_rng(0).normal(size=(200, 6, 6, 3))
        (gram, _) = thinet_layerwise.ThiNet().grams(
            graph, x.astype("float32"), graph.removable
        )
        view = keras.Model(model.input, model.get_layer("reader").output)
        y = np.asarray(view(x.astype("float32")))
        # One position for each of 200 samples.
        self.assertAlmostEqual(
            gram.matrix.sum() / 200 / np.square(y).mean(), 1, delta=0.2
        )
