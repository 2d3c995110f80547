import keras
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs import counting
from tfprune.graph import read
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers


class DenseTest(exactness.ExactnessTestCase):
    @parameterized.named_parameters(
        ("flat", (5,), lambda: LAYERS.Dense(5, activation="relu")),
        ("without_bias", (5,), lambda: LAYERS.Dense(5, use_bias=False)),
        ("on_a_series", (4, 3), lambda: LAYERS.Dense(5)),
        ("on_an_image", models.IMAGE, lambda: LAYERS.Dense(5)),
    )
    def test_masked_channels_are_removed(self, shape, layer):
        self.assert_exact(
            models.around(lambda x: layer()(x), shape), silence=0.3
        )

    def test_it_reads_the_last_axis_also_after_a_permute(self):
        # The channels of the convolution lie along the rows it works on.
        model = models.around(
            lambda x: LAYERS.Dense(5)(LAYERS.Permute((2, 1))(x)), (4, 3)
        )
        self.assert_exact(model, silence=0.3)

    def test_multiply_adds(self):
        model = keras.Sequential([keras.Input((4, 3)), LAYERS.Dense(5)])
        meter = counting.Meter(read.channel_graph(model))
        self.assertEqual(meter.macs(), 4 * 3 * 5)

    @parameterized.parameters("relu", "gelu", "hard_swish", "linear", None)
    def test_an_activation_by_channel_leaves_channels_free(self, name):
        model = models.around(LAYERS.Dense(5, activation=name), (3,))
        graph = read.channel_graph(model)
        self.assertEqual(int(graph.removable.sum()), 6 + 5)

    @parameterized.parameters("softmax", "log_softmax", "sparsemax")
    def test_an_activation_that_mixes_channels_keeps_them(self, name):
        dense = LAYERS.Dense(6, activation=name, name="mixing")
        model = models.around(dense, (3,))
        graph = read.channel_graph(model)
        (group,) = (g for g in graph.groups if g.name == "mixing")
        self.assertEqual(
            group.frozen, ("mixing", f"activation {name!r} mixes channels")
        )
        self.assert_exact(model)

    def test_an_unknown_activation_keeps_channels(self):
        @keras.saving.register_keras_serializable("tfprune_test")
        def cumulated(x):
            return keras.ops.cumsum(x, -1)

        model = models.around(LAYERS.Dense(6, activation=cumulated), (3,))
        self.assertEqual(int(read.channel_graph(model).removable.sum()), 6)
        self.assert_exact(model)


if __name__ == "__main__":
    absltest.main()
