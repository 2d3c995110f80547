import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers
OPS = keras.ops
SIX = np.arange(6.0, dtype="float32")


def pairs(merge, width=6):
    """Two convolutions of the same tensor, merged."""

    def body(x):
        return merge([LAYERS.Conv2D(6, 1)(x), LAYERS.Conv2D(width, 1)(x)])

    return models.around(body)


def squeeze_excite(x, keepdims):
    gate = LAYERS.GlobalAveragePooling2D(keepdims=keepdims)(x)
    if keepdims:
        gate = LAYERS.Conv2D(3, 1, activation="relu")(gate)
        gate = LAYERS.Conv2D(6, 1, activation="sigmoid")(gate)
    else:
        gate = LAYERS.Dense(3, activation="relu")(gate)
        gate = LAYERS.Dense(6, activation="hard_sigmoid")(gate)
        gate = LAYERS.Reshape((1, 1, 6))(gate)
    return LAYERS.Multiply()([x, gate])


def spatial_gate(x):
    """One channel that all others are multiplied with."""
    return x * LAYERS.Conv2D(1, 3, padding="same", activation="sigmoid")(x)


def fixed_batch(body):
    inputs = keras.Input(batch_shape=(2, *models.IMAGE))
    x = LAYERS.Conv2D(6, 1)(inputs)
    return keras.Model(inputs, models.head(body(x)))


MERGES = (
    ("add", lambda: pairs(LAYERS.Add())),
    ("subtract", lambda: pairs(LAYERS.Subtract())),
    ("multiply", lambda: pairs(LAYERS.Multiply())),
    ("average", lambda: pairs(LAYERS.Average())),
    ("maximum", lambda: pairs(LAYERS.Maximum())),
    ("minimum", lambda: pairs(LAYERS.Minimum())),
    ("raw_add", lambda: pairs(lambda p: p[0] + p[1])),
    ("raw_where", lambda: pairs(lambda p: keras.ops.where(p[0] > p[1], *p))),
    (
        "raw_select",
        lambda: pairs(
            lambda p: keras.ops.select(
                [p[0] > 0.0, keras.ops.isclose(*p)],
                [p[1], keras.ops.full_like(p[0], 0.5)],
                2.0,
            )
        ),
    ),
    ("residual", lambda: models.around(lambda x: x + LAYERS.Conv2D(6, 1)(x))),
    ("with_itself", lambda: models.around(lambda x: LAYERS.Add()([x, x]))),
    ("concatenate", lambda: pairs(LAYERS.Concatenate(), 3)),
    (
        "raw_concatenate",
        lambda: pairs(lambda p: keras.ops.concatenate(p, -1), 3),
    ),
    ("stacked_rows", lambda: pairs(LAYERS.Concatenate(axis=1))),
    ("stacked_columns", lambda: pairs(lambda p: keras.ops.concatenate(p, 2))),
    (
        "dense_block",
        lambda: models.around(
            lambda x: LAYERS.Concatenate()(
                [x, LAYERS.Conv2D(2, 3, padding="same")(x), x]
            )
        ),
    ),
    (
        "reshaped_gate",
        lambda: models.around(lambda x: squeeze_excite(x, False)),
    ),
    ("kept_gate", lambda: models.around(lambda x: squeeze_excite(x, True))),
    ("spatial_gate", lambda: models.around(spatial_gate)),
    ("array_of_channels", lambda: models.around(lambda x: x * SIX + SIX)),
    (
        "array_of_positions",
        lambda: models.around(lambda x: x + np.ones((6, 6, 1), "float32")),
    ),
    (
        "array_of_both",
        lambda: models.around(lambda x: x + SIX * np.ones((6, 6, 6), "f")),
    ),
    (
        "array_before_the_tensor",
        lambda: models.around(lambda x: keras.ops.subtract(SIX, x)),
    ),
    (
        "array_of_full_rank",
        lambda: models.around(lambda x: x * SIX.reshape(1, 1, 1, 6)),
    ),
    (
        "ranks_that_differ",
        lambda: models.around(
            lambda x: LAYERS.Add()(
                [x, LAYERS.Dense(6)(LAYERS.GlobalMaxPooling2D()(x))]
            )
        ),
    ),
    (
        "array_in_a_concatenation",
        lambda: fixed_batch(
            lambda x: keras.ops.concatenate([x, np.ones((2, 6, 6, 2), "f")], -1)
        ),
    ),
)


class MergeTest(exactness.ExactnessTestCase):
    @parameterized.named_parameters(*MERGES)
    def test_masked_channels_are_removed(self, make):
        self.assert_exact(make())

    @parameterized.named_parameters(*MERGES)
    def test_silent_channels_are_removed(self, make):
        self.assert_exact(make(), rate=0.2, silence=0.4)

    def test_joined_channels_are_one(self):
        graph = read.channel_graph(pairs(LAYERS.Add()))
        group = next(g for g in graph.groups if len(g.writers) == 2)
        self.assertLen(group, 6)
        self.assertLen(group.readers, 1)

    def test_one_channel_that_gates_many_is_kept(self):
        graph = read.channel_graph(models.around(spatial_gate))
        reasons = {reason for _, _, reason in graph.reasons}
        self.assertIn("one channel that many others use", reasons)
        self.assertEqual(int(graph.removable.sum()), 6 + 4)

    def test_crossing_axes_are_kept(self):
        def cross(x):
            rows = LAYERS.Reshape((6, 1))(LAYERS.Dense(6)(x))
            columns = LAYERS.Reshape((1, 6))(LAYERS.Dense(6)(x))
            return rows * columns

        found = self.assert_exact(models.around(cross, (3,)))
        self.assertEqual(int(found.graph.removable.sum()), 6 + 4)

    def test_ops_on_different_ranks_are_kept(self):
        def body(x):
            return x + LAYERS.Dense(6)(keras.Input(batch_shape=(6, 3)))

        image, row = keras.Input(models.IMAGE), keras.Input(batch_shape=(6, 3))
        x = LAYERS.Conv2D(6, 1)(image) + LAYERS.Dense(6)(row)
        model = keras.Model([image, row], models.head(x))
        graph = read.channel_graph(model)
        self.assertEqual(int(graph.removable.sum()), 4)


def masked(*widths):
    """Branches of ids, those of width 5 without a mask, and their inputs."""
    inputs = [keras.Input((7,), dtype="int32") for _ in widths]
    branches = [
        LAYERS.Embedding(5, n, mask_zero=n != 5)(x)
        for x, n in zip(inputs, widths, strict=True)
    ]
    return inputs, branches


class MasksTest(exactness.ExactnessTestCase):
    @parameterized.parameters(
        (-1, (6, 4), 6 + 4), (-1, (6, 5), 6 + 5), (1, (6, 6), 6)
    )
    def test_of_what_is_concatenated(self, axis, widths, removable):
        inputs, branches = masked(*widths)
        x = LAYERS.GRU(3)(LAYERS.Concatenate(axis=axis)(branches))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), removable + 3)

    def test_of_different_parts_side_by_side(self):
        inputs, (x, y, z) = masked(2, 6, 4)
        zeros, ones = (
            [like(a) for a in (x, y, z)]
            for like in (OPS.zeros_like, OPS.ones_like)
        )
        # Which channel is the third decides whether any is true.
        first = OPS.concatenate([ones[0], zeros[1]], -1)
        second = OPS.concatenate([zeros[2], ones[2]], -1)
        gate = OPS.max(first * second, -1, keepdims=True)
        x = LAYERS.Dense(2)(OPS.concatenate([x, y], -1) * gate)
        found = self.assert_exact(keras.Model(inputs, x), removes=False)
        self.assertFalse(found.graph.removable.any())


class StackTest(exactness.ExactnessTestCase):
    @parameterized.parameters(
        lambda x, y: OPS.reshape(OPS.stack([x, y], axis=1), (-1, 12, 6, 6)),
        lambda x, y: OPS.max(OPS.stack([x, y], axis=3), axis=3),
        lambda x, y: OPS.fmax(x, y),
        lambda x, y: OPS.append(x, y, axis=1),
        lambda x, y: OPS.dstack([x, y]),
    )
    def test_two_tensors_side_by_side(self, body):
        model = models.around(lambda x: body(x, LAYERS.Conv2D(6, 1)(x)))
        found = self.assert_exact(model, rate=0.4)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 4)

    @parameterized.parameters(
        lambda x: OPS.append(x, -x, axis=0),
        lambda x: OPS.vstack([x, -x]),
    )
    def test_batches_are_kept(self, body):
        inputs = keras.Input(batch_shape=(2, 5))
        outputs = LAYERS.Dense(2)(body(LAYERS.Dense(6)(inputs)))
        graph = read.channel_graph(keras.Model(inputs, outputs))
        self.assertFalse(graph.removable.any())
        self.assertEmpty(graph.unknown)

    def test_hstack_of_channels(self):
        inputs = keras.Input((5,))
        parts = [keras.layers.Dense(n)(inputs) for n in (6, 4)]
        x = keras.layers.Dense(2)(keras.ops.hstack(parts))
        found = self.assert_exact(keras.Model(inputs, x))
        self.assertEqual(int(found.graph.removable.sum()), 10)


if __name__ == "__main__":
    absltest.main()
