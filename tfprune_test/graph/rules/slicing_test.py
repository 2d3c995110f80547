import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers
OPS = keras.ops


def parts(split):
    """Reads each part by a convolution of its own."""

    def body(x):
        return LAYERS.Concatenate()(
            [LAYERS.Conv2D(3, 1)(part) for part in split(x)]
        )

    return body


def option_a(x):
    """A parameter-free shortcut: every second pixel, more channels."""
    y = LAYERS.Conv2D(9, 3, 2, "same")(x)
    x = keras.ops.pad(x[:, ::2, ::2, :], ((0, 0), (0, 0), (0, 0), (1, 2)))
    return x + y


ORDER = [3, 0, 4, 1, 5, 2]
PLACES = np.array(ORDER).reshape(1, 1, 1, 6)


def largest_rows(x):
    found = OPS.top_k(OPS.swapaxes(x, 1, 3), 2)
    return [OPS.swapaxes(y, 1, 3) for y in found]


SLICES = (
    ("last_axis", lambda x: x[..., 1:4]),
    ("one_channel", lambda x: x[..., :1]),
    ("first_channels", lambda x: x[:, :, :, :3]),
    ("last_channels", lambda x: x[..., -3:]),
    ("without_ends", lambda x: x[..., 1:-1]),
    ("beyond_the_end", lambda x: x[..., 2:100]),
    ("positions", lambda x: x[:, 1:5, ::2]),
    ("one_row", lambda x: x[:, 2]),
    ("one_place", lambda x: x[:, -1, 0, 2:]),
    ("new_axis", lambda x: x[:, None, :, 1, 1:4]),
    ("new_axis_behind_an_ellipsis", lambda x: x[:, 0, ..., None, 1:4]),
    ("halves", parts(lambda x: (x[..., :3], x[..., 3:]))),
    ("overlap", parts(lambda x: (x[..., :4], x[..., 2:]))),
    ("split", parts(lambda x: keras.ops.split(x, 3, axis=-1))),
    ("split_in_two", parts(lambda x: keras.ops.split(x, 2, axis=3))),
    ("split_at", parts(lambda x: keras.ops.split(x, [1, 4], axis=-1))),
    ("split_rows", parts(lambda x: keras.ops.split(x, 3, axis=1))),
    ("array_split", parts(lambda x: keras.ops.array_split(x, 3, axis=-1))),
    ("hsplit", lambda x: keras.ops.hsplit(x, 2)[1]),
    ("dsplit", lambda x: keras.ops.dsplit(x, 3)[1]),
    ("option_a", option_a),
    (
        "pad_rows",
        lambda x: keras.ops.pad(x, ((0, 0), (1, 0), (0, 1), (0, 0))),
    ),
    (
        "pad_with_a_number",
        lambda x: keras.ops.pad(
            x, ((0, 0), (0, 0), (0, 0), (2, 0)), constant_values=1.5
        ),
    ),
    (
        "reflect_rows",
        lambda x: keras.ops.pad(
            x, ((0, 0), (1, 1), (0, 0), (0, 0)), mode="reflect"
        ),
    ),
    ("flip", lambda x: keras.ops.flip(x, -1)),
    ("flip_rows", lambda x: keras.ops.flip(x, (1, 2))),
    ("fliplr", keras.ops.fliplr),
    ("backwards", lambda x: x[..., ::-1]),
    ("every_second", lambda x: x[..., ::2]),
    ("every_second_between", lambda x: x[..., 1:5:2]),
    ("every_third_to_the_end", lambda x: x[..., 2::3]),
    ("steps_behind_some", lambda x: x[..., 2::2]),
    ("one_of_two_in_turn", lambda x: x[..., ::2] * x[..., 1::2]),
    ("an_order", lambda x: keras.ops.take(x, np.array(ORDER), axis=-1)),
    ("an_order_of_ints", lambda x: keras.ops.take(x, ORDER, axis=3)),
    ("some", lambda x: keras.ops.take(x, [4, 0, 3], axis=-1)),
    ("one_twice", lambda x: keras.ops.take(x, [4, 1, 4, 2, -1], axis=-1)),
    (
        "shuffled_parts",
        parts(
            lambda x: keras.ops.split(keras.ops.take(x, ORDER, axis=-1), [2], 3)
        ),
    ),
    ("hstack", lambda x: keras.ops.hstack([x, x])),
    ("repeat", lambda x: keras.ops.repeat(x, 2, axis=-1)),
    ("repeat_each", lambda x: keras.ops.repeat(x, [1, 2, 1, 3, 1, 2], -1)),
    ("repeat_rows", lambda x: keras.ops.repeat(x, 2, axis=1)),
)

KEPT = (
    ("steps_backwards", lambda x: x[..., ::-2]),
    ("steps_from_between", lambda x: x[..., 3::2]),
    ("steps_from_the_end", lambda x: x[..., -5::2]),
    ("uneven", lambda x: keras.ops.array_split(x, 4, axis=-1)[2]),
    ("largest", lambda x: keras.ops.subtract(*keras.ops.top_k(x, 2))),
    ("along", lambda x: keras.ops.take_along_axis(x, PLACES, -1)),
    ("table", lambda x: keras.ops.take(x, [[1, 0], [2, 4]], axis=-1)),
    ("reflect", lambda x: keras.ops.pad(x, ((0, 0),) * 3 + ((1, 1),), "wrap")),
)


class SlicingTest(exactness.ExactnessTestCase):
    @parameterized.named_parameters(*SLICES)
    def test_masked_channels_are_removed(self, body):
        self.assert_exact(models.around(body))

    @parameterized.named_parameters(*SLICES)
    def test_silent_channels_are_removed(self, body):
        self.assert_exact(models.around(body), rate=0.2, silence=0.4)

    @parameterized.named_parameters(*SLICES)
    def test_most_channels_are_removed(self, body):
        self.assert_exact(models.around(body), rate=0.9)

    def test_parts_of_equal_size_lose_the_same(self):
        model = models.around(parts(lambda x: keras.ops.split(x, 3, axis=-1)))
        graph = read.channel_graph(model)
        group = next(g for g in graph.groups if len(g.readers) == 3)
        self.assertLen(group, 2)

    def test_padded_channels_go_with_those_they_meet(self):
        found = self.assert_exact(models.around(option_a), rate=0.8)
        (pad,) = (
            entry["config"]["pad_width"][3]
            for entry in found.small.get_config()["layers"]
            if entry["class_name"] == "Pad"
        )
        self.assertLess(sum(pad), 3)

    def test_an_order_of_channels_loses_those_that_go(self):
        model = models.around(lambda x: OPS.take(x, ORDER, axis=-1))
        graph = read.channel_graph(model)
        (edit,) = (e for e in graph.edits if e.among is not None)
        keep = np.ones(graph.size, bool)
        keep[edit.among[[0, 4]]] = False
        small = rebuild.shrink(graph, keep)
        (entry,) = (
            entry
            for entry in small.get_config()["layers"]
            if entry["class_name"] == "Take"
        )
        # Of 3 0 4 1 5 2 are 3 1 5 2 left, among 1 2 3 5.
        self.assertEqual(entry["inbound_nodes"][0]["args"][1], [2, 0, 3, 1])

    @parameterized.named_parameters(*KEPT)
    def test_channels_that_cannot_follow_are_kept(self, body):
        inputs = keras.Input(models.IMAGE)
        x = body(LAYERS.Conv2D(6, 1)(inputs))
        graph = read.channel_graph(keras.Model(inputs, LAYERS.Dense(2)(x)))
        self.assertEqual(int(graph.removable.sum()), 0)

    @parameterized.named_parameters(
        ("slice", lambda x: x[:1, ...]),
        ("index", lambda x: x[0, ...]),
        ("split", lambda x: keras.ops.split(x, 2)[0]),
        ("pad", lambda x: keras.ops.pad(x, 1)),
        ("flip", lambda x: keras.ops.flip(x)),
        ("flipud", keras.ops.flipud),
        ("along", lambda x: OPS.take_along_axis(x, OPS.argsort(x, 1), 0)),
        ("repeat", lambda x: keras.ops.repeat(x, 2, axis=0)),
    )
    def test_channels_are_kept_where_the_batch_changes(self, body):
        inputs = keras.Input(batch_shape=(2, 8, 6))
        x = body(LAYERS.Dense(6)(inputs))
        graph = read.channel_graph(keras.Model(inputs, x * 2.0))
        self.assertEqual(int(graph.removable.sum()), 0)
        self.assertEmpty(graph.unknown)


class PartsTest(exactness.ExactnessTestCase):
    @parameterized.parameters((2, 6), (None, 0))
    def test_rows_that_are_spread(self, batch, removable):
        inputs = keras.Input(batch_shape=(batch, 1, 3))
        x = OPS.broadcast_to(LAYERS.Dense(6)(inputs), (2, 4, 6))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = self.assert_exact(model, removes=removable > 0)
        self.assertEqual(int(found.graph.removable.sum()), removable)

    @parameterized.parameters(
        (lambda x: OPS.tile(x, (1, 1, 2, 2)), 6),
        (lambda x: OPS.take(x, np.array([0, 2, 2]), axis=1), 6),
        (lambda x: OPS.take(x, 1, axis=1), 6),
        (lambda x: OPS.take(x, 4, axis=-1), 5),
        (lambda x: OPS.take(x, np.array(-1), axis=-1), 5),
        (lambda x: x[..., 2], 5),
        (lambda x: x[:, 1:3, ..., -2], 5),
        (lambda x: LAYERS.Add()(OPS.unstack(x, 6, axis=1)[:3]), 6),
        (lambda x: OPS.nn.glu(x), 3),
        (lambda x: OPS.concatenate(OPS.array_split(x, 4, axis=1)[1:], 1), 6),
        (lambda x: OPS.take_along_axis(x, OPS.argsort(x, 1), 1), 6),
        (lambda x: OPS.take_along_axis(x, OPS.argmax(x, 2, True), 2), 6),
        (lambda x: OPS.take_along_axis(x, np.ones((1, 2, 6, 6), int), 1), 6),
        (lambda x: largest_rows(x)[0], 6),
        (lambda x: OPS.cast(largest_rows(x)[1], "float32"), 6),
    )
    def test_repeats_and_picks(self, body, removable):
        for silence in (0.0, 0.3):
            found = self.assert_exact(models.around(body), silence=silence)
            self.assertEqual(int(found.graph.removable.sum()), removable + 4)


if __name__ == "__main__":
    absltest.main()
