"""Scores of different groups, made comparable."""

import numpy as np
from absl.testing import parameterized

from tfprune.scoring import normalizers


class NormalizersTest(parameterized.TestCase):
    @parameterized.parameters(
        ("none", [1, 2, 3]),
        ("mean", [0.5, 1, 1.5]),
        ("max", [1 / 3, 2 / 3, 1]),
        ("size", [1 / 3, 2 / 3, 1]),
        ("lamp", [1 / 6, 2 / 5, 1]),
    )
    def test_scores_become(self, name, expected):
        normalizer = normalizers.normalizers.get(name)
        found = normalizer(np.array([1.0, 2, 3]))
        np.testing.assert_allclose(found, expected)
        found = normalizer(np.array([3.0, 1, 2]))
        np.testing.assert_allclose(found, np.take(expected, [2, 0, 1]))

    def test_lamp_of_squares_is_that_of_the_paper(self):
        found = normalizers.lamp(np.square([1.0, 2, 3]))
        np.testing.assert_allclose(found, [0.071429, 0.307692, 1], atol=1e-6)

    def test_lamp_gives_equal_scores_equal_results(self):
        found = normalizers.lamp(np.array([2.0, 1, 2, 1]))
        np.testing.assert_allclose(found, [1 / 2, 1 / 6, 1 / 2, 1 / 6])

    @parameterized.parameters(*normalizers.normalizers.names())
    def test_groups_without_a_score_are_left_alone(self, name):
        normalizer = normalizers.normalizers.get(name)
        for scores in (np.zeros(3), np.zeros(0)):
            np.testing.assert_array_equal(normalizer(scores), scores)
