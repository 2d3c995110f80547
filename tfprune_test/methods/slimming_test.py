"""Scales of batch normalisation as scores."""

import numpy as np
from absl.testing import absltest

from tfprune import pruning
from tfprune import score
from tfprune_test.methods import small_nets


class SlimmingTest(absltest.TestCase):
    def test_the_largest_absolute_scales_stay(self):
        model = small_nets.mixed()
        model.get_layer("inner_bn").gamma.assign([0.5, -0.01, 0.3, 0.02] * 2)
        group, graph = small_nets.group(model, "inner")
        scores = score.channel_scores(graph, "slimming")[group.labels]
        np.testing.assert_allclose(scores, [0.5, 0.01, 0.3, 0.02] * 2)
        keep = pruning.choose(graph, {"inner": 0.5}, "slimming")
        np.testing.assert_array_equal(
            keep[group.labels], [True, False, True, False] * 2
        )

    def test_one_threshold_holds_for_all_layers(self):
        model = small_nets.mixed()
        model.get_layer("inner_bn").gamma.assign(np.full(8, 0.1))
        model.get_layer("stem_bn").gamma.assign(np.full(6, 0.2))
        graph = small_nets.group(model, "inner")[1]
        removable = int(graph.removable.sum())
        budget = pruning.select.Budget(channels=removable - 7)
        keep = pruning.choose(graph, budget, "slimming")
        inner, _ = small_nets.group(model, "inner", graph)
        stem, _ = small_nets.group(model, "stem", graph)
        self.assertEqual(keep[inner.labels].sum(), 1)
        self.assertEqual(keep[stem.labels].sum(), 6)

    def test_channels_without_a_scale_stay(self):
        graph = small_nets.group(small_nets.mixed(), "inner")[1]
        keep = pruning.choose(graph, 0.5, "slimming")
        sizes = {
            group.name: int(keep[group.labels].sum())
            for group in graph.groups
            if not group.frozen
        }
        self.assertEqual(
            sizes, {"stem": 3, "inner": 4, "down": 5, "hidden": 7}
        )

    def test_a_model_without_scales_is_an_error(self):
        graph = small_nets.group(small_nets.pair([[1]] * 3), "first")[1]
        with self.assertRaisesRegex(ValueError, "needs channels with a scale"):
            score.channel_scores(graph, "slimming")
