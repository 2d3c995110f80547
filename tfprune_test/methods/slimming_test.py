"""Scales of batch normalisation: as scores, and under their penalty."""

import keras
import numpy as np
import pytest
from absl.testing import absltest

import tfprune
from tfprune.graph import read
from tfprune.methods import slimming
from tfprune.scoring import score
from tfprune.selection import cut as cut_lib
from tfprune.sparsity import wrapper
from tfprune.sparsity import wrapping
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend


class SlimmingTest(absltest.TestCase):
    def test_the_largest_absolute_scales_stay(self):
        model = small_nets.mixed()
        model.get_layer("inner_bn").gamma.assign([0.5, -0.01, 0.3, 0.02] * 2)
        group, graph = small_nets.group(model, "inner")
        scores = score.channel_scores(graph, "slimming")[group.labels]
        np.testing.assert_allclose(scores, [0.5, 0.01, 0.3, 0.02] * 2)
        keep = cut_lib.choose(graph, {"inner": 0.5}, "slimming").keep
        np.testing.assert_array_equal(
            keep[group.labels], [True, False, True, False] * 2
        )

    def test_one_threshold_holds_for_all_layers(self):
        model = small_nets.mixed()
        model.get_layer("inner_bn").gamma.assign(np.full(8, 0.1))
        model.get_layer("stem_bn").gamma.assign(np.full(6, 0.2))
        graph = small_nets.group(model, "inner")[1]
        removable = int(graph.removable.sum())
        budget = tfprune.Budget(channels=removable - 7)
        keep = cut_lib.choose(graph, budget, "slimming").keep
        inner, _ = small_nets.group(model, "inner", graph)
        stem, _ = small_nets.group(model, "stem", graph)
        self.assertEqual(keep[inner.labels].sum(), 1)
        self.assertEqual(keep[stem.labels].sum(), 6)

    def test_scales_that_are_wrapped_count_as_well(self):
        plain = small_nets.mixed()
        wrapped = wrapping.wrap(
            plain, slimming.Slimming(), where=wrapping.normalizations
        )
        expected, found = (
            score.channel_scores(read.channel_graph(model), "slimming")
            for model in (plain, wrapped)
        )
        np.testing.assert_array_equal(found, expected)

    def test_channels_without_a_scale_stay(self):
        graph = small_nets.group(small_nets.mixed(), "inner")[1]
        keep = cut_lib.choose(graph, 0.5, "slimming").keep
        sizes = {
            group.name: int(keep[group.labels].sum())
            for group in graph.groups
            if not group.frozen
        }
        self.assertEqual(sizes, {"stem": 3, "inner": 4, "down": 5, "hidden": 7})

    def test_a_model_without_scales_is_an_error(self):
        graph = small_nets.group(small_nets.pair([[1]] * 3), "first")[1]
        with self.assertRaisesRegex(ValueError, "needs channels with a scale"):
            score.channel_scores(graph, "slimming")


SCALES = (0.5, -0.01, 0.3, 0.02)


def normalized(strength):
    """A wrapped model of one batch normalisation, for plain descent."""
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.BatchNormalization(name="norm")]
    )
    model.get_layer("norm").gamma.assign(SCALES)
    wrapped = wrapping.wrap(
        model, slimming.Slimming(strength), where=wrapping.normalizations
    )
    wrapped.compile(
        keras.optimizers.SGD(1.0),
        lambda y, outputs: 0.0 * keras.ops.sum(outputs, -1),
    )
    return wrapped


class PenaltyTest(absltest.TestCase):
    def test_each_scale_gets_the_strength_with_its_sign(self):
        wrapped = normalized(0.1)
        norm = wrapper.find(wrapped)[0].layer
        self.assertAlmostEqual(float(sum(wrapped.losses)), 0.083, places=6)
        x = np.random.default_rng(0).normal(size=(8, 4))
        wrapped.train_on_batch(x, x)
        gradient = np.array(SCALES) - keras.ops.convert_to_numpy(norm.gamma)
        np.testing.assert_allclose(gradient, [0.1, -0.1, 0.1, 0.1], atol=1e-6)
        np.testing.assert_array_equal(norm.beta, np.zeros(4))

    def test_a_scale_of_zero_stays_there(self):
        wrapped = normalized(0.1)
        norm = wrapper.find(wrapped)[0].layer
        norm.gamma.assign(np.zeros(4))
        wrapped.train_on_batch(np.ones((8, 4)), np.ones((8, 4)))
        np.testing.assert_array_equal(norm.gamma, np.zeros(4))

    def test_half_of_the_scales_by_one_threshold(self):
        model = small_nets.mixed()
        model.get_layer("stem_bn").gamma.assign([0.5, -0.01] * 3)
        model.get_layer("inner_bn").gamma.assign([0.3, 0.02] * 4)
        wrapped = wrapping.wrap(
            model, slimming.Slimming(), where=wrapping.normalizations
        )
        plain = wrapping.unwrap(wrapped)
        stem, graph = small_nets.group(plain, "stem")
        inner, _ = small_nets.group(plain, "inner", graph)
        channels = int(graph.removable.sum()) - 7
        budget = tfprune.Budget(channels=channels)
        keep = cut_lib.choose(graph, budget, "slimming").keep
        np.testing.assert_array_equal(keep[stem.labels], [True, False] * 3)
        np.testing.assert_array_equal(keep[inner.labels], [True, False] * 4)

    def test_a_negative_strength_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "strength=-1"):
            slimming.Slimming(-1)
