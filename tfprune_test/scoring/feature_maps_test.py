import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph import rulebook
from tfprune.scoring import feature_maps

LAYERS = keras.layers


def means(maps):
    return maps.reshape(*maps.shape[:2], -1).mean(-1)


def model():
    """A convolution whose maps are pooled, and two dense layers."""
    x = keras.Input((6, 6, 2), name="put")
    y = LAYERS.Conv2D(3, 3, name="conv")(x)
    y = LAYERS.ReLU(name="relu")(y)
    y = LAYERS.MaxPooling2D(2, name="pool")(y)
    y = LAYERS.Flatten(name="flat")(y)
    y = LAYERS.Dense(4, name="first")(y)
    return keras.Model(x, LAYERS.Dense(2, name="last")(y))


@keras.saving.register_keras_serializable("feature_maps_test")
class Halved(LAYERS.Layer):
    """The mean of each two rows."""

    def call(self, x):
        return (x[:, ::2] + x[:, 1::2]) / 2

    def compute_output_shape(self, shape):
        return shape[0], shape[1] // 2, *shape[2:]


@rulebook.rule("feature_maps_test>Halved")
def halved(call):
    call.moves = True
    return call.x.labels


class ConcatenatedTest(parameterized.TestCase):
    @parameterized.parameters(LAYERS.Concatenate(), keras.ops.hstack)
    def test_each_part_is_traced_back(self, join):
        x = keras.Input((6, 6, 2))
        maps = LAYERS.Conv2D(3, 3, activation="relu", name="conv")(x)
        rows = keras.Input((4,))
        dense = LAYERS.Dense(5, activation="relu", name="rows")(rows)
        parts = [LAYERS.GlobalAveragePooling2D()(maps), dense]
        y = LAYERS.Dense(2)(join(parts))
        net = keras.Model([x, rows], y)
        graph = read.channel_graph(net)
        rng = np.random.default_rng(0)
        data = [rng.normal(size=(5, 6, 6, 2)), rng.normal(size=(5, 4))]
        made = np.asarray(net.get_layer("conv")(data[0]))
        labels = {g.name: g.labels for g in graph.groups if not g.frozen}
        for rank, rated in ((None, True), (2, False)):
            found = feature_maps.mean_over_maps(
                graph,
                lambda maps: means(maps != 0),
                data,
                "a test",
                rank=rank,
            )
            np.testing.assert_allclose(
                found[labels["conv"]], (made != 0).mean((0, 1, 2))
            )
            np.testing.assert_array_equal(
                np.isfinite(found[labels["rows"]]), rated
            )

    def test_channels_of_a_stack_are_rated_by_all_maps(self):
        x = keras.Input((6, 6, 2))
        maps = [LAYERS.Conv2D(3, 3, activation="relu")(x) for _ in range(2)]
        parts = [LAYERS.GlobalAveragePooling2D()(one) for one in maps]
        y = LAYERS.Dense(2)(keras.ops.stack(parts, axis=1))
        graph = read.channel_graph(keras.Model(x, y))
        data = np.random.default_rng(0).normal(size=(5, 6, 6, 2))
        made = np.asarray(keras.Model(x, maps)(data))
        found = feature_maps.mean_over_maps(
            graph, lambda maps: means(maps != 0), data, "a test"
        )
        np.testing.assert_allclose(
            found[graph.removable], (made != 0).mean((0, 1, 2, 3))
        )


class FeatureMapsTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        keras.utils.set_random_seed(0)
        cls.model = model()
        cls.graph = read.channel_graph(cls.model)
        cls.data = np.random.default_rng(0).normal(size=(5, 6, 6, 2))
        cls.channels = {
            group.writers[0]: group.labels
            for group in cls.graph.groups
            if group.writers
        }

    def made_by(self, wanted):
        """The layers whose outputs are maps."""
        return {self.graph.steps[number].layer for number in wanted}

    def test_a_map_is_made_before_it_is_pooled_and_flattened(self):
        self.assertLessEqual(
            {"relu", "first"}, self.made_by(feature_maps.sources(self.graph))
        )
        self.assertNotIn("pool", self.made_by(feature_maps.sources(self.graph)))

    def test_of_one_rank_alone(self):
        self.assertEqual(
            self.made_by(feature_maps.sources(self.graph, 0)), {"first"}
        )
        self.assertIn("relu", self.made_by(feature_maps.sources(self.graph, 2)))
        self.assertEqual(feature_maps.sources(self.graph, 1), {})

    def test_the_mean_over_samples_in_batches(self):
        x = self.data.astype("float32")
        found = feature_maps.mean_over_maps(
            self.graph, means, x, "a test", batch_size=2
        )
        relu = keras.Model(
            self.model.inputs, self.model.get_layer("relu").output
        )
        np.testing.assert_allclose(
            found[self.channels["conv"]],
            relu.predict(x, verbose=0).mean((0, 1, 2)),
            rtol=1e-5,
        )
        first = keras.Model(
            self.model.inputs, self.model.get_layer("first").output
        )
        np.testing.assert_allclose(
            found[self.channels["first"]],
            first.predict(x, verbose=0).mean(0),
            rtol=1e-4,
            atol=1e-6,
        )

    def test_a_gate_that_halves_the_channels_makes_maps(self):
        x = keras.Input((6, 6, 2))
        y = keras.ops.glu(LAYERS.Conv2D(6, 3, name="conv")(x))
        y = LAYERS.TimeDistributed(LAYERS.MaxPooling1D(2))(y)
        y = keras.ops.mean(y, (1, 2))
        graph = read.channel_graph(keras.Model(x, LAYERS.Dense(2)(y)))
        (number,) = feature_maps.sources(graph)
        self.assertEqual(graph.steps[number].op, "Glu")
        (number,) = feature_maps.sources(graph, before_ops=True)
        self.assertEqual(graph.steps[number].op, "Conv2D")

    @parameterized.parameters(
        LAYERS.Permute((2, 1, 3)),
        LAYERS.MaxPooling2D(3, strides=1, padding="same"),
        LAYERS.Dropout(0.5),
        LAYERS.Reshape((2, 8, 3)),
        lambda x: keras.ops.flip(x, 1),
        lambda x: keras.ops.roll(x, 1, 1),
    )
    def test_what_moves_values_and_keeps_the_size_makes_none(self, moved):
        x = keras.Input((6, 6, 2))
        y = LAYERS.ReLU(name="relu")(LAYERS.Conv2D(3, 3, name="conv")(x))
        y = LAYERS.Flatten()(moved(LAYERS.Activation("linear")(y)))
        graph = read.channel_graph(keras.Model(x, LAYERS.Dense(2)(y)))
        self.assertTrue(graph.removable[:-2].any())
        (number,) = feature_maps.sources(graph)
        self.assertEqual(graph.steps[number].op, "Activation")

    def test_a_rule_tells_that_a_layer_of_ones_own_moves_values(self):
        x = keras.Input((6, 6, 2))
        y = LAYERS.ReLU()(LAYERS.Conv2D(3, 3)(x))
        y = Halved()(y)
        graph = read.channel_graph(
            keras.Model(x, LAYERS.Dense(2)(LAYERS.Flatten()(y)))
        )
        self.assertEmpty(graph.unknown)
        (number,) = feature_maps.sources(graph)
        self.assertEqual(graph.steps[number].op, "ReLU")

    def test_a_channel_without_a_map_scores_infinity(self):
        x = self.data.astype("float32")
        found = feature_maps.mean_over_maps(
            self.graph, means, x, "a test", rank=2, limit=1
        )
        self.assertTrue(np.isfinite(found[self.channels["conv"]]).all())
        self.assertTrue(np.isinf(found[self.channels["first"]]).all())
        self.assertTrue(np.isinf(found[self.channels["last"]]).all())


if __name__ == "__main__":
    absltest.main()
