import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs import counting
from tfprune.costs import memory
from tfprune.graph import read
from tfprune.surgery import pruning
from tfprune.surgery import shrinking
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers
OPS = keras.ops
SERIES = (8, 3)


def shuffle(x):
    """Channel shuffle of three groups."""
    x = LAYERS.Reshape((6, 6, 3, 2))(x)
    x = LAYERS.Permute((1, 2, 4, 3))(x)
    return LAYERS.Reshape((6, 6, 6))(x)


def heads(x):
    """Two heads, each read by itself, as attention splits them."""
    x = keras.ops.reshape(x, (-1, 8, 2, 3))
    return keras.ops.reshape(keras.ops.transpose(x, (0, 2, 1, 3)), (-1, 16, 3))


SHAPES = (
    ("flatten", models.IMAGE, lambda x: LAYERS.Flatten()(x)),
    (
        "flatten_first",
        models.IMAGE,
        lambda x: LAYERS.Flatten(data_format="channels_first")(
            LAYERS.Permute((3, 1, 2))(x)
        ),
    ),
    (
        "flatten_and_back",
        models.IMAGE,
        lambda x: LAYERS.Reshape((6, 6, 6))(LAYERS.Flatten()(x)),
    ),
    ("positions", models.IMAGE, lambda x: LAYERS.Reshape((36, 6))(x)),
    ("positions_open", models.IMAGE, lambda x: LAYERS.Reshape((-1, 6))(x)),
    ("channels_open", models.IMAGE, lambda x: LAYERS.Reshape((36, -1))(x)),
    ("rows_merge", models.IMAGE, lambda x: LAYERS.Reshape((6, 36))(x)),
    ("channels_split", models.IMAGE, lambda x: LAYERS.Reshape((36, 2, 3))(x)),
    ("split_open", models.IMAGE, lambda x: LAYERS.Reshape((36, 2, -1))(x)),
    ("shuffle", models.IMAGE, shuffle),
    ("heads", SERIES, heads),
    (
        "op",
        models.IMAGE,
        lambda x: keras.ops.reshape(x, (-1, 36, 6)),
    ),
    ("op_open", models.IMAGE, lambda x: keras.ops.reshape(x, (-1, 6 * 36))),
    ("permute", SERIES, lambda x: LAYERS.Permute((2, 1))(x)),
    ("transpose", SERIES, lambda x: keras.ops.transpose(x, (0, 2, 1))),
    ("moveaxis", models.IMAGE, lambda x: keras.ops.moveaxis(x, -1, 1)),
    ("swapaxes", models.IMAGE, lambda x: keras.ops.swapaxes(x, 1, -1)),
    (
        "there_and_back",
        SERIES,
        lambda x: LAYERS.Permute((2, 1))(LAYERS.Permute((2, 1))(x)),
    ),
    (
        "more_axes",
        SERIES,
        lambda x: keras.ops.squeeze(keras.ops.expand_dims(x, 1), 1),
    ),
    ("middle_axis", SERIES, lambda x: keras.ops.expand_dims(x, 2)),
    (
        "one_channel",
        SERIES,
        lambda x: LAYERS.Reshape((4, 2))(LAYERS.Dense(1)(x)),
    ),
)


class ShapeTest(exactness.ExactnessTestCase):
    @parameterized.named_parameters(*SHAPES)
    def test_masked_channels_are_removed(self, shape, body):
        self.assert_exact(models.around(body, shape))

    @parameterized.named_parameters(*SHAPES)
    def test_silent_channels_are_removed(self, shape, body):
        model = models.around(body, shape)
        self.assert_exact(model, rate=0.2, silence=0.4, removes=None)

    def test_a_dense_layer_split_into_channels(self):
        model = models.around(
            lambda x: LAYERS.Reshape((2, 2, 5))(LAYERS.Dense(20)(x)), (4,)
        )
        graph = read.channel_graph(model)
        sizes = sorted(len(g) for g in graph.groups if not g.frozen)
        self.assertEqual(sizes, [4, 5, 6])
        self.assert_exact(model, silence=0.2)

    @parameterized.named_parameters(
        ("batch", lambda x: keras.ops.reshape(x, (-1, 12))),
        ("ravel", lambda x: keras.ops.ravel(x)),
        ("transposed", lambda x: keras.ops.transpose(x, (1, 0, 2))),
    )
    def test_channels_that_enter_the_batch_are_kept(self, body):
        inputs = keras.Input(batch_shape=(2, 6, 3))
        x = body(LAYERS.Dense(6)(inputs))
        graph = read.channel_graph(keras.Model(inputs, x * 2.0))
        self.assertEqual(int(graph.removable.sum()), 0)

    @parameterized.parameters((None, -1), (2, -1), (2, 6))
    def test_heads_in_the_batch(self, batch, rows):
        inputs = keras.Input(batch_shape=(batch, 7, 5))

        def in_batch(x):
            x = OPS.transpose(OPS.reshape(x, (-1, 7, 3, 4)), (0, 2, 1, 3))
            return OPS.reshape(x, (rows, 7, 4))

        query, key, value = (in_batch(LAYERS.Dense(12)(inputs)) for _ in "qkv")
        x = OPS.softmax(OPS.matmul(query, OPS.transpose(key, (0, 2, 1))))
        x = OPS.reshape(OPS.matmul(x, value), (-1, 3, 7, 4))
        x = OPS.reshape(OPS.transpose(x, (0, 2, 1, 3)), (-1, 7, 12))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), 4)
        cut = exactness.half(model)
        self.assertEqual(
            counting.cost(shrinking.apply(cut)).macs,
            counting.Meter(cut.graph).macs(cut.keep),
        )

    def test_rows_that_do_not_hold_whole_samples_keep_channels(self):
        inputs = keras.Input(batch_shape=(4, 6, 3))
        x = OPS.reshape(LAYERS.Dense(5)(inputs), (2, 12, 5))
        graph = read.channel_graph(keras.Model(inputs, LAYERS.Dense(2)(x)))
        self.assertEqual(int(graph.removable.sum()), 0)

    def test_an_unknown_size_that_is_broken_up_keeps_channels(self):
        inputs = keras.Input((None, 6))
        x = LAYERS.Reshape((-1, 2))(LAYERS.Dense(6)(inputs))
        graph = read.channel_graph(keras.Model(inputs, LAYERS.Conv1D(2, 1)(x)))
        self.assertEqual(int(graph.removable.sum()), 0)


class BlocksTest(exactness.ExactnessTestCase):
    """Channels of `around`: 6 before the body, 4 after it."""

    @parameterized.parameters(
        (lambda x: OPS.nn.depth_to_space(LAYERS.Conv2D(12, 1)(x), 2), 3),
        (lambda x: OPS.nn.space_to_depth(x, 2), 0),
        (lambda x: channel_shuffle(x), -3),
        (lambda x: pixel_shuffle(LAYERS.Conv2D(16, 1)(x)), 4),
    )
    def test_shuffles(self, body, more):
        for silence in (0.0, 0.3):
            found = self.assert_exact(models.around(body), silence=silence)
            self.assertEqual(int(found.graph.removable.sum()), 6 + more + 4)

    @pytest.mark.any_backend
    @parameterized.parameters(
        (lambda x: OPS.nn.depth_to_space(x, 2, "channels_first"), 12, 3),
        (lambda x: OPS.nn.space_to_depth(x, 2, "channels_first"), 6, 6),
    )
    def test_shuffles_of_channels_first(self, op, channels, free):
        inputs = keras.Input(models.IMAGE)
        x = LAYERS.Permute((3, 1, 2))(LAYERS.Conv2D(channels, 1)(inputs))
        x = LAYERS.Permute((2, 3, 1))(op(x))
        model = keras.Model(inputs, models.head(x))
        for silence in (0.0, 0.3):
            found = self.assert_exact(model, silence=silence)
            self.assertEqual(int(found.graph.removable.sum()), free + 4)

    @parameterized.parameters(None, 2)
    def test_a_squeeze_before_the_batch(self, batch):
        inputs = keras.Input(batch_shape=(batch, 7, 5))
        x = LAYERS.Reshape((7, 1, 3, 2))(LAYERS.Dense(6)(inputs))
        x = OPS.squeeze(OPS.transpose(x, (2, 3, 0, 1, 4)), 0)[1]
        x = LAYERS.Dense(8)(LAYERS.Flatten()(x))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), 2 + 8)
        work = 7 * 5 * 6 + 7 * 2 * 8 + 8 * 2
        self.assertEqual(counting.cost(model).macs, work)
        cut = exactness.half(model)
        self.assertEqual(
            counting.cost(shrinking.apply(cut)).macs,
            counting.Meter(cut.graph).macs(cut.keep),
        )

    def test_a_squeeze_of_all_axes_leaves_more_than_one_channel(self):
        inputs = keras.Input((7, 5))
        x = LAYERS.Reshape((7, 1, 3))(LAYERS.Dense(3)(inputs))
        x = LAYERS.Dense(4)(OPS.squeeze(x))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        for rate in (0.5, 0.9):
            found = exactness.strip_masked(model, rate=rate)
            self.assertEqual(exactness.faults(found), [])
        small = pruning.prune(model, ratio=0.9)
        self.assertEqual(small.layers[1].units, 2)

    def test_a_squeeze_of_a_batch_of_one(self):
        inputs = keras.Input(batch_shape=(1, 7, 5))
        x = OPS.reshape(LAYERS.Dense(6)(inputs), (1, 7, 3, 2))
        x = OPS.squeeze(OPS.transpose(x, (1, 0, 2, 3)))
        graph = read.channel_graph(
            keras.Model(inputs, OPS.transpose(x, (0, 2, 1)))
        )
        for step in graph.steps[2:]:  # Every tensor has 42 numbers.
            keep = np.ones(graph.size, bool)
            self.assertEqual(memory.tensor_bytes(step.outputs[0], keep), 4 * 42)
            sizes = memory.sizes(step.outputs[0], keep)
            self.assertEqual(np.prod(sizes), 42)


def channel_shuffle(x):
    x = OPS.transpose(OPS.reshape(x, (-1, 6, 6, 2, 3)), (0, 1, 2, 4, 3))
    return OPS.reshape(x, (-1, 6, 6, 6))


def pixel_shuffle(x):
    x = OPS.reshape(x, (-1, 6, 6, 2, 2, 4))
    return OPS.reshape(OPS.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 12, 12, 4))


if __name__ == "__main__":
    absltest.main()
