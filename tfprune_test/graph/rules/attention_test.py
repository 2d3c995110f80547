import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs import counting
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.surgery import shrinking
from tfprune.surgery import stripping
from tfprune.surgery import verification
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers


def block(attention):
    inputs = keras.Input((7, 5))
    x = LAYERS.Dense(8)(inputs)
    x = LAYERS.Add()([x, attention(x, x)])
    x = LAYERS.Dense(6, activation="relu")(x)
    return keras.Model(inputs, LAYERS.Dense(2)(x))


def across():
    inputs = keras.Input((7, 5)), keras.Input((4, 3))
    query = LAYERS.Dense(8)(inputs[0])
    value, key = LAYERS.Dense(6)(inputs[1]), LAYERS.Dense(9)(inputs[1])
    layer = LAYERS.MultiHeadAttention(3, 4, value_dim=5)
    x, scores = layer(query, value, key, return_attention_scores=True)
    return keras.Model(inputs, [LAYERS.Dense(2)(x), scores])


def causal():
    layer = LAYERS.MultiHeadAttention(2, 4)
    inputs = keras.Input((7, 5)), keras.Input((7, 7), dtype="bool")
    x = LAYERS.Dense(8)(inputs[0])
    x = layer(x, x, use_causal_mask=True, attention_mask=inputs[1])
    return keras.Model(inputs, LAYERS.Dense(2)(x))


class AttentionTest(exactness.ExactnessTestCase):
    @parameterized.product(
        options=({}, {"use_bias": False}, {"value_dim": 6}),
        silence=(0.0, 0.3),
    )
    def test_heads_and_widths(self, options, silence):
        layer = LAYERS.MultiHeadAttention(3, 4, **options)
        found = self.assert_exact(block(layer), silence=silence)
        widths = 4 + options.get("value_dim", 4)
        removable = int(found.graph.removable.sum())
        self.assertEqual(removable, 8 + 3 + widths + 6)

    @parameterized.parameters(6, [6])
    def test_an_output_of_a_size_of_its_own(self, size):
        inputs = keras.Input((7, 5))
        x = LAYERS.Dense(8)(inputs)
        layer = LAYERS.MultiHeadAttention(3, 4, output_shape=size)
        x = LAYERS.Dense(2)(layer(x, x))
        found = self.assert_exact(keras.Model(inputs, x), rate=0.4)
        self.assertEqual(int(found.graph.removable.sum()), 8 + 3 + 4 + 4 + 6)

    def test_an_output_of_several_axes_keeps_all(self):
        inputs = keras.Input((7, 5))
        x = LAYERS.Dense(8)(inputs)
        x = LAYERS.MultiHeadAttention(3, 4, output_shape=(2, 3))(x, x)
        x = LAYERS.Dense(6)(LAYERS.Flatten()(x))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), 6)

    @parameterized.parameters((4, 2), (4, 4), (4, 1))
    def test_queries_that_share_keys(self, queries, keys):
        layer = LAYERS.GroupQueryAttention(3, queries, keys)
        found = self.assert_exact(block(layer), rate=0.4)
        removable = int(found.graph.removable.sum())
        self.assertEqual(removable, 8 + keys + 3 + 6)

    def test_a_smaller_key_width_keeps_the_scale(self):
        model = block(LAYERS.MultiHeadAttention(2, 8, name="attention"))
        exactness.randomize(model, np.random.default_rng(0))
        graph = read.channel_graph(model)
        query = model.get_layer("attention").query_dense
        (widths,) = (
            b.labels
            for b in graph.bound(query.kernel)
            if b.role == "reads" and b.axis == 2
        )
        for variable in (query.kernel, query.bias):
            value = np.array(keras.ops.convert_to_numpy(variable))
            value[..., :5] = 0
            variable.assign(value)
        keep = stripping.removable(graph).keep
        np.testing.assert_array_equal(keep[widths], [False] * 5 + [True] * 3)
        small = rebuild.shrink(graph, keep)
        layer = small.get_layer("attention")
        self.assertEqual(layer.key_dim, 3)
        self.assertLess(verification.check_equal(model, small), 1e-5)

    @parameterized.parameters(
        lambda: LAYERS.MultiHeadAttention(4, 3),
        lambda: LAYERS.MultiHeadAttention(5, 1),
        lambda: LAYERS.MultiHeadAttention(4, 1),
        lambda: LAYERS.GroupQueryAttention(3, 8, 4),
        lambda: LAYERS.GroupQueryAttention(1, 4, 2),
    )
    def test_heads_of_one_width_are_not_as_many_as_steps(self, layer):
        """Keras on TensorFlow adds a bias along the steps then."""
        inputs = keras.Input((4, 5))
        x = LAYERS.Dense(6)(inputs)
        x = LAYERS.Dense(3)(layer()(x, x))
        model = keras.Model(inputs, LAYERS.Flatten()(x))
        for seed in range(3):
            for rate in (0.2, 0.8):
                found = exactness.strip_masked(model, rate, seed)
                self.assertEqual(exactness.faults(found), [])

    def test_queries_keys_and_values_of_their_own(self):
        found = self.assert_exact(across(), rate=0.4)
        self.assertEqual(int(found.graph.removable.sum()), 8 + 6 + 9 + 4 + 5)

    def test_masks(self):
        self.assert_exact(causal())

    @parameterized.parameters(LAYERS.Attention, LAYERS.AdditiveAttention)
    def test_values_of_plain_attention(self, cls):
        inputs = keras.Input((7, 5))
        query, value, key = (LAYERS.Dense(n)(inputs) for n in (8, 6, 8))
        x = cls()([query, value, key])
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = self.assert_exact(model, removes=None)
        self.assertEqual(int(found.graph.removable.sum()), 6)

    def test_gates_are_kept(self):
        layer = LAYERS.GroupQueryAttention(3, 4, 2, use_gate=True)
        found = self.assert_exact(block(layer))
        self.assertEqual(int(found.graph.removable.sum()), 6)

    def test_work(self):
        model = block(LAYERS.MultiHeadAttention(3, 4, value_dim=5))
        graph = exactness.strip_masked(model, rate=0).graph
        work = models.multiply_adds(graph, "multi_head_attention")
        projections = 7 * 8 * 3 * (4 + 4 + 5 + 5)
        self.assertEqual(work, projections + 7 * 7 * 3 * (4 + 5))

    @parameterized.named_parameters(
        ("dot", LAYERS.Attention(), 8),
        ("dot, scaled", LAYERS.Attention(use_scale=True), 8),
        ("concat", LAYERS.Attention(score_mode="concat"), 0),
        ("additive", LAYERS.AdditiveAttention(), 8),
        ("plain sum", LAYERS.AdditiveAttention(use_scale=False), 0),
    )
    def test_work_of_plain_attention(self, layer, scores):
        inputs = keras.Input((7, 5)), keras.Input((4, 3))
        query = LAYERS.Dense(8)(inputs[0])
        value, key = (LAYERS.Dense(n)(inputs[1]) for n in (6, 8))
        x = layer([query, value, key])
        cut = exactness.half(keras.Model(inputs, LAYERS.Dense(2)(x)))
        name = layer.name
        work = models.multiply_adds(cut.graph, name)
        self.assertEqual(work, 7 * 4 * (scores + 6))
        work = models.multiply_adds(cut.graph, name, cut.keep)
        self.assertEqual(work, 7 * 4 * (scores + 3))
        again = read.channel_graph(shrinking.apply(cut))
        work = models.multiply_adds(again, name)
        self.assertEqual(work, 7 * 4 * (scores + 3))

    def test_calls_that_read_different_tensors(self):
        attention = LAYERS.MultiHeadAttention(2, 4)
        models_of = (
            lambda x: attention(x, x) + attention(x, x + 1),
            lambda x: LAYERS.MultiHeadAttention(2, 4)(
                query=x, value=x + 1, attention_mask=np.tri(7, dtype=bool)[None]
            ),
        )
        for body in models_of:
            found = self.assert_exact(
                models.around(body, (7, 3)), silence=0.5, seed=1
            )
            self.assertEmpty(found.graph.unknown)

    def test_work_of_attention_that_stays_whole(self):
        inputs = keras.Input((7, 8))
        layer = LAYERS.GroupQueryAttention(3, 4, 2, use_gate=True)
        graph = read.channel_graph(keras.Model(inputs, layer(inputs, inputs)))
        projections = 7 * 8 * 3 * (4 + 2 + 2 + 4 + 4)  # And the gate's.
        self.assertEqual(
            counting.Meter(graph).macs(), projections + 7 * 7 * 4 * (3 + 3)
        )
        inputs = keras.Input((5, 7, 8))
        layer = LAYERS.MultiHeadAttention(2, 3, attention_axes=(2,))
        graph = read.channel_graph(keras.Model(inputs, layer(inputs, inputs)))
        projections = 5 * 7 * 8 * 2 * 3 * 4
        self.assertEqual(
            counting.Meter(graph).macs(),
            projections + 5 * 7 * 7 * 2 * (3 + 3),
        )

    @parameterized.parameters(((7, 5), (2, 2), 7 * 7 * 5), ((5,), 1, 5))
    def test_work_of_dot(self, shape, axes, work):
        inputs = keras.Input(shape)
        x = LAYERS.Dot(axes=axes)([inputs, inputs])
        graph = read.channel_graph(keras.Model(inputs, x))
        self.assertEqual(counting.Meter(graph).macs(), work)


if __name__ == "__main__":
    absltest.main()
