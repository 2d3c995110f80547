"""LAMP scores of channels."""

import numpy as np
import pytest
from absl.testing import parameterized

import tfprune
from tfprune.criteria import lamp
from tfprune.scoring import score
from tfprune.selection import cut as cut_lib
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend


class LampTest(parameterized.TestCase):
    def test_scores_of_one_two_three_are_those_of_the_paper(self):
        model = small_nets.pair([[1], [2], [3]])
        group, graph = small_nets.group(model, "first")
        scores = score.channel_scores(graph, "lamp")[group.labels]
        np.testing.assert_allclose(scores, [0.071429, 0.307692, 1], atol=1e-6)

    def test_scores_are_ranked_globally_as_they_are(self):
        # By mean-normalised squares, channels 0 and 1 of the first layer
        # would go first; LAMP rates them 1/2 and 1, the second layer's first
        # channel 1/10.
        model = small_nets.pair([[1], [1]], [[1, 0], [3, 0]])
        graph = small_nets.group(model, "first")[1]
        budget = tfprune.Budget(channels=3)
        keep = cut_lib.choose(graph, budget, lamp.Lamp()).keep
        second, _ = small_nets.group(model, "second", graph)
        np.testing.assert_array_equal(keep[second.labels], [False, True])
