"""Distances between filters."""

import numpy as np
import pytest
from absl.testing import absltest

from tfprune.criteria import fpgm
from tfprune.selection import cut as cut_lib
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend


class GeometricMedianTest(absltest.TestCase):
    def test_the_filter_between_the_others_goes_not_the_smallest(self):
        filters = np.array([[0.0], [1.0], [10.0]])
        scores = fpgm.geometric_median(filters, 0)
        np.testing.assert_allclose(scores, [11, 10, 19])
        model = small_nets.pair(filters)
        group, graph = small_nets.group(model, "first")
        keep = cut_lib.choose(graph, {"first": 1 / 3}, "fpgm").keep
        np.testing.assert_array_equal(keep[group.labels], [True, False, True])

    def test_distances_are_those_of_an_independent_sum(self):
        kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 6)) + 100
        columns = kernel.reshape(-1, 6).T
        expected = [
            sum(np.linalg.norm(a - b) for b in columns) for a in columns
        ]
        found = fpgm.geometric_median(kernel, -1)
        np.testing.assert_allclose(found, expected, rtol=1e-9)

    def test_equal_filters_have_no_distance(self):
        np.testing.assert_allclose(
            fpgm.geometric_median(np.full((5, 3), 0.1), 1), 0, atol=1e-6
        )
