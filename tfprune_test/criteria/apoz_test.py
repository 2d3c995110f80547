"""Shares of values that are not zero."""

import keras
import numpy as np
import pytest
from absl.testing import absltest

from tfprune.scoring import score
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend

layers = keras.layers


class ApozTest(absltest.TestCase):
    def test_zeros_are_counted_behind_the_activation_and_before_padding(self):
        inputs = keras.Input((2, 2, 1))
        x = layers.Conv2D(2, 1, name="writer", activation="relu")(inputs)
        x = layers.Conv2D(1, 3)(layers.ZeroPadding2D(1)(x))
        model = keras.Model(inputs, layers.Flatten()(x))
        model.get_layer("writer").kernel.assign([[[[1.0, -1.0]]]])
        image = np.array([[1, -2], [3, 4]], "float32").reshape(1, 2, 2, 1)
        group, graph = small_nets.group(model, "writer")
        scores = score.channel_scores(graph, "apoz", image)
        np.testing.assert_allclose(scores[group.labels], [0.75, 0.25])

    def test_dense_channels_are_judged_too(self):
        group, graph = small_nets.group(small_nets.mixed(), "hidden")
        scores = score.channel_scores(graph, "apoz", small_nets.samples())
        self.assertTrue(np.isfinite(scores[group.labels]).all())
        self.assertTrue((scores[group.labels] <= 1).all())
