import keras
from absl.testing import absltest
from absl.testing import parameterized

from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers


class WrapperTest(exactness.ExactnessTestCase):
    @parameterized.parameters(0.0, 0.3)
    def test_spectral_normalization(self, silence):
        model = models.around(
            lambda x: LAYERS.SpectralNormalization(LAYERS.Conv2D(5, 3))(
                LAYERS.SpectralNormalization(LAYERS.Conv2D(6, 1))(x)
            )
        )
        found = self.assert_exact(model, silence=silence)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 6 + 5 + 4)

    def test_every_step_by_itself(self):
        each = LAYERS.TimeDistributed
        model = keras.Sequential(
            [
                keras.Input((3, 8, 8, 2)),
                each(LAYERS.Conv2D(6, 3)),
                each(LAYERS.BatchNormalization()),
                each(LAYERS.Conv2D(5, 2, activation="relu")),
                each(LAYERS.Flatten()),
                each(LAYERS.Dense(4)),
                LAYERS.LSTM(4),
                LAYERS.Dense(2),
            ]
        )
        found = self.assert_exact(model, silence=0.3)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 5 + 4 + 4)
        work = models.multiply_adds(found.graph, "time_distributed")
        self.assertEqual(work, 3 * 6 * 6 * 3 * 3 * 2 * 6)

    @parameterized.parameters(True, False)
    def test_a_model_for_every_step(self, functional):
        inner = [
            LAYERS.Conv2D(6, 3, activation="relu"),
            LAYERS.BatchNormalization(),
            LAYERS.Conv2D(5, 2),
            LAYERS.GlobalAveragePooling2D(),
        ]
        inner = keras.Sequential([keras.Input((8, 8, 2)), *inner])
        if functional:
            inner = keras.Model(inner.inputs[0], inner.outputs[0])
        model = keras.Sequential(
            [
                keras.Input((3, 8, 8, 2)),
                LAYERS.TimeDistributed(inner),
                LAYERS.LSTM(4),
                LAYERS.Dense(2),
            ]
        )
        found = self.assert_exact(model, silence=0.3)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 5 + 4)
        self.assertEmpty(found.graph.unknown)


if __name__ == "__main__":
    absltest.main()
