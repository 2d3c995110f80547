import keras
from absl.testing import absltest

from tfprune_test import exactness

LAYERS = keras.layers


class EmbeddingTest(exactness.ExactnessTestCase):
    def test_a_table_loses_columns(self):
        model = keras.Sequential(
            [
                keras.Input((7,), dtype="int32"),
                LAYERS.Embedding(20, 8),
                LAYERS.LSTM(6),
                LAYERS.Dense(3),
            ]
        )
        found = self.assert_exact(model, silence=0.3)
        self.assertEqual(int(found.graph.removable.sum()), 8 + 6)

    def test_a_table_read_in_both_directions_stays(self):
        table = LAYERS.ReversibleEmbedding(20, 8)
        inputs = keras.Input((7,), dtype="int32")
        x = LAYERS.Dense(6, activation="relu")(table(inputs))
        x = LAYERS.Dense(8)(x)
        model = keras.Model(inputs, table(x, reverse=True))
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), 6)

    def test_channels_that_are_ids_stay(self):
        inputs = keras.Input((5,))
        ids = LAYERS.Dense(6, activation="sigmoid")(inputs) * 19
        x = LAYERS.Embedding(20, 8)(keras.ops.cast(ids, "int32"))
        model = keras.Model(inputs, LAYERS.Dense(3)(LAYERS.Flatten()(x)))
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), 8)


if __name__ == "__main__":
    absltest.main()
