import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph import rebuild
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


if __name__ == "__main__":
    absltest.main()
