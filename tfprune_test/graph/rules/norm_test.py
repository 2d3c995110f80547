import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.selection import candidates as candidates_lib
from tfprune.selection import cut as cut_lib
from tfprune.surgery import pruning
from tfprune.surgery import shrinking
from tfprune.surgery import verification
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers
OPS = keras.ops
ROW = np.linspace(0.1, 0.6, 6, dtype="float32")


def adapted():
    layer = LAYERS.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3, 2, (50, 6, 6, 3)))
    return layer


class NormTest(exactness.ExactnessTestCase):
    @parameterized.named_parameters(
        ("batch", lambda: LAYERS.BatchNormalization()),
        ("batch_no_scale", lambda: LAYERS.BatchNormalization(scale=False)),
        ("batch_no_center", lambda: LAYERS.BatchNormalization(center=False)),
        ("prelu", lambda: LAYERS.PReLU()),
        ("prelu_rows_shared", lambda: LAYERS.PReLU(shared_axes=[1])),
        ("prelu_positions_shared", lambda: LAYERS.PReLU(shared_axes=[1, 2])),
        ("prelu_all_shared", lambda: LAYERS.PReLU(shared_axes=[1, 2, 3])),
        ("prelu_channels_shared", lambda: LAYERS.PReLU(shared_axes=[3])),
    )
    def test_channels_pass(self, layer):
        model = models.around(lambda x: LAYERS.Conv2D(6, 1)(layer()(x)))
        found = self.assert_exact(model, silence=0.3)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 6 + 4)

    def test_batch_normalization_of_channels_first(self):
        model = models.around(
            lambda x: LAYERS.Permute((2, 1))(
                LAYERS.BatchNormalization(axis=1)(LAYERS.Permute((2, 1))(x))
            ),
            (8, 3),
        )
        self.assert_exact(model, silence=0.3)

    def test_batch_normalization_of_another_axis(self):
        model = models.around(LAYERS.BatchNormalization(axis=1), (8, 3))
        found = self.assert_exact(model, silence=0.3)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 4)

    def test_a_shared_normalization(self):
        norm = LAYERS.BatchNormalization()
        model = models.around(
            lambda x: LAYERS.Concatenate()(
                [norm(x), norm(LAYERS.Conv2D(6, 3)(x)[:, :1, :1] + x)]
            )
        )
        self.assert_exact(model)

    @parameterized.parameters(
        LAYERS.LayerNormalization,
        LAYERS.GroupNormalization,
        LAYERS.UnitNormalization,
        LAYERS.RMSNormalization,
    )
    def test_a_normalization_across_channels_keeps_them(self, cls):
        layer = cls(groups=3) if "Group" in cls.__name__ else cls()
        found = self.assert_exact(models.around(lambda x: layer(x)))
        self.assertEqual(int(found.graph.removable.sum()), 4)

    @parameterized.parameters(-1, 6)
    def test_groups_of_one_channel_are_exact(self, groups):
        layer = LAYERS.GroupNormalization(groups=groups)
        found = self.assert_exact(models.around(layer), silence=0.3)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 4)

    @parameterized.parameters(
        (lambda: LAYERS.LayerNormalization(), 6, "beta"),
        (lambda: LAYERS.RMSNormalization(), 6, "scale"),
        (lambda: LAYERS.GroupNormalization(groups=3), 2, "gamma"),
        (lambda: LAYERS.UnitNormalization(), 6, None),
    )
    def test_averages_over_fewer_channels_are_allowed(
        self, layer, removable, variable
    ):
        model = models.around(layer())
        graph = read.channel_graph(model, allow_inexact=True)
        name = model.layers[2].name
        self.assertEqual(graph.inexact, (name,))
        self.assertEqual(int(graph.removable.sum()), removable + 4)
        with self.assertWarnsRegex(UserWarning, f"fewer channels .{name}"):
            small = pruning.prune(model, 0.5, allow_inexact=True)
        if variable:
            size = getattr(small.get_layer(name), variable).shape[0]
            self.assertLess(size, 6)
        # A strip stays exact.
        self.assertEqual(read.channel_graph(model).inexact, ())

    def test_the_change_is_measured(self):
        model = models.around(LAYERS.LayerNormalization())
        exactness.randomize(model, np.random.default_rng(0))
        graph = read.channel_graph(model, allow_inexact=True)
        keep = graph.frozen.copy()
        keep[np.flatnonzero(graph.removable)[::2]] = True
        keep = candidates_lib.restored(graph, keep)
        small = rebuild.shrink(graph, keep)
        zeros = shrinking.masked(cut_lib.Cut(graph, keep))
        inputs = verification.random_inputs(model)
        with self.assertWarns(UserWarning):
            change = verification.warn_of_change(
                cut_lib.Cut(graph, keep), small
            )
        expected = exactness.difference(zeros, small, inputs)
        self.assertAlmostEqual(change, expected, places=5)
        self.assertGreater(change, 0.01)

    @parameterized.parameters(
        (lambda x: OPS.batch_normalization(x, ROW, ROW + 1, -1, ROW, -ROW), 6),
        (lambda x: OPS.batch_normalization(x, ROW, ROW + 1, 1, ROW, ROW), 6),
        (lambda x: OPS.layer_normalization(x, ROW, ROW, axis=1), 6),
        (lambda x: OPS.rms_normalization(x, axis=(1, 2)), 6),
        (lambda x: OPS.layer_normalization(x, ROW), 0),
        (lambda x: OPS.rms_normalization(x), 0),
    )
    def test_ops_with_arrays(self, body, removable):
        model = models.around(body)
        found = self.assert_exact(model, silence=0.2)
        self.assertEqual(int(found.graph.removable.sum()), removable + 4)

    def test_ops_that_mix_lose_channels_on_request(self):
        model = models.around(lambda x: OPS.layer_normalization(x, ROW, ROW))
        graph = read.channel_graph(model, allow_inexact=True)
        self.assertEqual(int(graph.removable.sum()), 6 + 4)
        keep = np.ones(graph.size, bool)
        keep[np.flatnonzero(graph.removable)[1]] = False
        small = rebuild.shrink(graph, keep)
        self.assertLess(small.count_params(), model.count_params())

    def test_adapted_statistics_are_kept(self):
        inputs = keras.Input(models.IMAGE)
        x = LAYERS.Conv2D(6, 3)(adapted()(inputs))
        model = keras.Model(inputs, models.head(x))
        found = self.assert_exact(model)
        np.testing.assert_allclose(
            found.small.layers[1].mean, model.layers[1].mean
        )

    def test_given_statistics_are_kept(self):
        layer = LAYERS.Normalization(mean=[1.0, 2, 3], variance=[4.0, 5, 6])
        inputs = keras.Input(models.IMAGE)
        x = LAYERS.Conv2D(6, 3)(layer(inputs))
        self.assert_exact(keras.Model(inputs, models.head(x)))

    def test_statistics_in_training_do_not_change_the_model(self):
        model = models.around(
            lambda x: LAYERS.BatchNormalization()(x, training=True)
        )
        _, before = exactness.snapshot(model)
        self.assert_exact(model, rate=0.0, removes=None)
        exactness.strip_masked(model)
        read.channel_graph(model)
        _, after = exactness.snapshot(model)
        self.assertLen(after, len(before))


if __name__ == "__main__":
    absltest.main()
