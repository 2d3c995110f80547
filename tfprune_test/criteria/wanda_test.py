"""Weights times norms of what they read."""

import keras
import numpy as np
import pytest
from absl.testing import absltest

from tfprune.scoring import score
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend


class WandaTest(absltest.TestCase):
    def test_scores_are_weights_times_norms(self):
        model = small_nets.chain()
        model.get_layer("reader0").kernel.assign([[2.0], [-3.0]])
        group, graph = small_nets.group(model, "writer")
        x = np.array([[3.0, 1.0], [4.0, -1.0]], "float32")
        scores = score.channel_scores(graph, "wanda", x)[group.labels]
        # |w| * sqrt(sum of squares / samples)
        np.testing.assert_allclose(
            scores, [2 * (25 / 2) ** 0.5, 3 * 1.0], rtol=1e-6
        )

    def test_what_lora_adds_counts(self):
        model = small_nets.chain()
        reader = model.get_layer("reader0")
        reader.kernel.assign([[2.0], [-3.0]])
        reader.enable_lora(1)
        reader.lora_kernel_a.assign([[1.0], [2.0]])
        reader.lora_kernel_b.assign([[4.0]])
        group, graph = small_nets.group(model, "writer")
        x = np.array([[3.0, 1.0], [4.0, -1.0]], "float32")
        scores = score.channel_scores(graph, "wanda", x)[group.labels]
        # The weights are 2 + 4 and -3 + 8.
        np.testing.assert_allclose(
            scores, [6 * (25 / 2) ** 0.5, 5 * 1.0], rtol=1e-6
        )

    def test_every_tap_and_every_reader_of_a_residual_group_counts(self):
        model = small_nets.mixed()
        group, graph = small_nets.group(model, "stem")
        x, _ = small_nets.samples()
        views = {}
        for name in ("inner", "down"):
            probe = keras.Model(model.input, model.get_layer(name).input)
            seen = np.asarray(probe(x))
            norm = np.sqrt(np.square(seen).sum((0, 1, 2)) / len(x))
            weights = np.abs(model.get_layer(name).kernel).sum((0, 1, 3))
            views[name] = norm * weights
        scores = score.channel_scores(graph, "wanda", x)[group.labels]
        np.testing.assert_allclose(
            scores, views["inner"] + views["down"], rtol=1e-4
        )

    def test_the_size_of_the_data_does_not_matter(self):
        graph = small_nets.group(small_nets.mixed(), "stem")[1]
        x, _ = small_nets.samples()
        once = score.channel_scores(graph, "wanda", x)
        twice = score.channel_scores(graph, "wanda", np.concatenate([x, x]))
        np.testing.assert_allclose(once, twice, rtol=1e-5)
