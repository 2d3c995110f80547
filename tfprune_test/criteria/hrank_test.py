"""Ranks of feature maps."""

import keras
import numpy as np
import pytest
from absl.testing import absltest

from tfprune.criteria import hrank
from tfprune.scoring import score
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend

layers = keras.layers


class HRankTest(absltest.TestCase):
    def test_ranks_are_averaged_over_images(self):
        # Channel 0 is the image, channel 1 has the same value everywhere.
        inputs = keras.Input((2, 2, 1))
        x = layers.Conv2D(2, 1, name="writer")(inputs)
        x = layers.MaxPooling2D(2)(layers.ReLU()(x))
        model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x)))
        writer = model.get_layer("writer")
        writer.kernel.assign([[[[1.0, 0.0]]]])
        writer.bias.assign([0.0, 1.0])
        images = np.array([[[1, 2], [2, 4]], [[1, 0], [0, 1]]], "float32")
        group, graph = small_nets.group(model, "writer")
        scores = score.channel_scores(graph, "hrank", images[..., None])
        # Ranks 1 and 2 of the images; seen before the pooling.
        np.testing.assert_allclose(scores[group.labels], [1.5, 1.0])

    def test_channels_without_maps_stay(self):
        model = small_nets.mixed()
        hidden, graph = small_nets.group(model, "hidden")
        data = small_nets.samples()
        scores = score.channel_scores(graph, "hrank", data)
        self.assertTrue(np.isinf(scores[hidden.labels]).all())
        judged = graph.removable.copy()
        judged[hidden.labels] = False
        self.assertTrue(np.isfinite(scores[judged]).all())

    def test_as_many_samples_are_looked_at_as_asked_for(self):
        graph = small_nets.group(small_nets.mixed(), "stem")[1]
        x, y = small_nets.samples(40)
        some = score.channel_scores(graph, hrank.HRank(limit=8), (x, y))
        first = score.channel_scores(graph, "hrank", (x[:8], y[:8]))
        np.testing.assert_array_equal(some, first)
