"""Random scores."""

import numpy as np
import pytest
from absl.testing import absltest

from tfprune.criteria import random
from tfprune.scoring import score
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend


class ChanceTest(absltest.TestCase):
    def test_a_seed_gives_the_same_scores_and_another_one_others(self):
        graph = small_nets.group(small_nets.mixed(), "stem")[1]
        a = score.channel_scores(graph, "random")
        b = score.channel_scores(graph, random.Chance(seed=0))
        c = score.channel_scores(graph, random.Chance(seed=1))
        np.testing.assert_array_equal(a, b)
        self.assertFalse((a == c).any())
