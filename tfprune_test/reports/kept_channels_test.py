"""The channels of a smaller model are found, and never made up."""

import keras
import numpy as np
from absl.testing import absltest

import tfprune
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.reports import kept_channels

layers = keras.layers


def net(seed=0):
    """A residual block, a concatenation, a flattened map and an LSTM."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    y = layers.Conv2D(6, 3, padding="same", name="branch")(x)
    z = layers.Conv2D(5, 1, name="side")(x)
    x = layers.Concatenate()([x + y, z])
    y = layers.Flatten()(layers.MaxPooling2D(3)(x))
    y = layers.Dense(7, name="hidden")(y)
    z = layers.LSTM(4, name="lstm")(layers.Reshape((36, 11))(x))
    outputs = layers.Dense(3, name="logits")(layers.Concatenate()([y, z]))
    return keras.Model(inputs, outputs)


def cut(graph, seed=0):
    """A random choice that leaves each group a channel."""
    rng = np.random.default_rng(seed)
    keep = rng.random(graph.size) < 0.6
    keep |= graph.frozen
    for group in graph.groups:
        keep[group.labels[-1]] = True
    return keep


class KeptChannelsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.graph = read.channel_graph(net())
        self.keep = cut(self.graph)
        self.small = rebuild.shrink(self.graph, self.keep)

    def find(self, small):
        return kept_channels.kept_channels(
            self.graph, read.channel_graph(small)
        )

    def test_the_channels_are_those_that_were_kept(self):
        keep, guessed = self.find(self.small)
        np.testing.assert_array_equal(keep, self.keep)
        self.assertFalse(guessed.any())

    def test_after_training_the_numbers_are_known(self):
        rng = np.random.default_rng(0)
        for variable in self.small.trainable_variables:
            variable.assign(rng.normal(size=variable.shape))
        keep, guessed = self.find(self.small)
        for group in self.graph.groups:
            labels = group.labels
            self.assertEqual(keep[labels].sum(), self.keep[labels].sum())
            cut = not self.keep[labels].all()
            self.assertEqual(guessed[labels].any(), cut, group.name)

    def test_slices_that_are_equal_are_not_told_apart(self):
        kernel = self.graph.model.get_layer("hidden").kernel
        kernel.assign(np.ones(kernel.shape))
        small = rebuild.shrink(self.graph, self.keep)
        logits = small.get_layer("logits")
        logits.kernel.assign(np.zeros(logits.kernel.shape))
        (hidden,) = (g for g in self.graph.groups if g.name == "hidden")
        keep, guessed = self.find(small)
        self.assertTrue(guessed[hidden.labels].all())
        self.assertEqual(
            keep[hidden.labels].sum(), self.keep[hidden.labels].sum()
        )

    def test_whole_blocks_may_be_gone(self):
        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
        for i in range(3):
            y = layers.Conv2D(5, 3, padding="same", name=f"a{i}")(x)
            x = x + layers.Conv2D(4, 3, padding="same", name=f"b{i}")(y)
        x = layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
        small = tfprune.prune(model, depth=1)
        graph = read.channel_graph(model)
        keep, guessed = kept_channels.kept_channels(
            graph, read.channel_graph(small)
        )
        self.assertFalse(guessed.any())
        left = {layer.name for layer in small.layers}
        for group in graph.groups:
            if group.name.startswith("a"):
                self.assertEqual(
                    keep[group.labels].tolist(), [group.name in left] * 5
                )

    def test_another_model_is_refused(self):
        inputs = keras.Input((4,))
        other = keras.Model(inputs, layers.Dense(2, name="other")(inputs))
        with self.assertRaisesRegex(ValueError, "no layer in common"):
            self.find(other)
        graph = read.channel_graph(self.small)
        with self.assertRaisesRegex(ValueError, "first one with fewer"):
            kept_channels.kept_channels(graph, self.graph)


if __name__ == "__main__":
    absltest.main()
