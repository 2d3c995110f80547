"""Expected losses by the diagonal of the Fisher matrix."""

import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.criteria import fisher
from tfprune.scoring import score
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend

X = np.array([[0.3, -0.1], [0.1, 0.1]], "float32")
Y = np.zeros(2)


class FisherTest(parameterized.TestCase):
    # The gradient of reading weight c is x_c, the weight is 1:
    # B = 1: (0.3^2 + 0.1^2) / 2 / 2 and (0.1^2 + 0.1^2) / 2 / 2;
    # B = 2: 2 * ((0.3 + 0.1) / 2)^2 / 2 and 2 * 0 / 2.
    @parameterized.parameters((1, [0.025, 0.005]), (2, [0.04, 0.0]))
    def test_scores_are_half_the_curvature_times_the_squared_weight(
        self, batch_size, expected
    ):
        group, graph = small_nets.group(small_nets.chain(), "writer")
        criterion = fisher.Fisher(small_nets.mean_output, batch_size)
        scores = score.channel_scores(graph, criterion, (X, Y))
        np.testing.assert_allclose(scores[group.labels], expected, atol=1e-8)

    def test_batches_count_by_their_size(self):
        group, graph = small_nets.group(small_nets.chain(), "writer")
        x = np.concatenate([X, [[0.6, 0.2]]])  # The last one is a batch.
        criterion = fisher.Fisher(small_nets.mean_output, 2)
        scores = score.channel_scores(graph, criterion, (x, np.zeros(3)))
        expected = [(2 * 2 * 0.2**2 + 0.6**2) / 3 / 2, 0.2**2 / 3 / 2]
        np.testing.assert_allclose(scores[group.labels], expected, rtol=1e-5)

    def test_a_weight_of_three_counts_nine_times(self):
        model = small_nets.chain()
        model.get_layer("reader0").kernel.assign([[3.0], [1.0]])
        group, graph = small_nets.group(model, "writer")
        criterion = fisher.Fisher(small_nets.mean_output, 1)
        scores = score.channel_scores(graph, criterion, (X, Y))
        np.testing.assert_allclose(
            scores[group.labels], [9 * 0.025, 0.005], rtol=1e-5
        )

    def test_what_untrained_weights_read_has_no_score(self):
        model = small_nets.projected()
        read_by_them, graph = small_nets.group(model, "writer")
        others, _ = small_nets.group(model, "projection", graph)
        criterion = fisher.Fisher(small_nets.mean_output)
        scores = score.channel_scores(graph, criterion, (X, Y))
        self.assertTrue((scores[read_by_them.labels] == np.inf).all())
        self.assertTrue(np.isfinite(scores[others.labels]).all())
