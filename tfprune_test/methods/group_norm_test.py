"""All weights that go with a channel."""

import numpy as np
from absl.testing import absltest

from tfprune import score
from tfprune.methods import group_norm
from tfprune_test.methods import small_nets


class GroupNormTest(absltest.TestCase):
    def test_written_and_read_weights_are_averaged(self):
        model = small_nets.pair([[1, 2], [3, 4]], [[5, 6], [7, 8], [9, 10]])
        group, graph = small_nets.group(model, "first")
        scores = score.channel_scores(graph, "group_norm")[group.labels]
        written = np.array([1 + 4, 9 + 16])
        read = np.array([25 + 49 + 81, 36 + 64 + 100])
        np.testing.assert_allclose(scores, (written + read) / 2)
        scores = score.channel_scores(graph, group_norm.GroupNorm(p=1))
        np.testing.assert_allclose(
            scores[group.labels], [(3 + 21) / 2, (7 + 24) / 2]
        )

    def test_every_tensor_of_a_residual_group_counts_once(self):
        model = small_nets.mixed()
        group, graph = small_nets.group(model, "stem")
        get = model.get_layer
        tensors = [
            np.square(get("stem").kernel).sum((0, 1, 2)),
            np.square(get("stem_bn").gamma),
            np.square(get("inner").kernel).sum((0, 1, 3)),
            np.square(get("outer").kernel).sum((0, 1, 2)),
            np.square(get("down").kernel).sum((0, 1, 3)),
        ]
        scores = score.channel_scores(graph, "group_norm")[group.labels]
        np.testing.assert_allclose(scores, np.mean(tensors, 0), rtol=1e-5)

    def test_a_dense_layer_behind_flatten_sums_over_positions(self):
        model = small_nets.mixed()
        group, graph = small_nets.group(model, "down")
        written = np.square(model.get_layer("down").kernel).sum((0, 1, 2))
        read = np.square(model.get_layer("hidden").kernel).sum(1)
        read = read.reshape(-1, 5).sum(0)
        scores = score.channel_scores(graph, "group_norm")[group.labels]
        np.testing.assert_allclose(scores, (written + read) / 2, rtol=1e-5)
