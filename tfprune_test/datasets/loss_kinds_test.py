import keras
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.datasets import loss_kinds


class Own(keras.losses.Loss):
    def call(self, y, outputs):
        return outputs - y


class LossKindsTest(parameterized.TestCase):
    @parameterized.parameters(
        (None, "none", False),
        ("mse", "numbers", False),
        ("sparse_categorical_crossentropy", "sparse", False),
        (keras.losses.categorical_crossentropy, "categorical", False),
        (keras.losses.CategoricalFocalCrossentropy(), "categorical", False),
        (
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "sparse",
            True,
        ),
        (
            keras.losses.BinaryFocalCrossentropy(from_logits=True),
            "binary",
            True,
        ),
        (Own(), "numbers", False),
    )
    def test_kind(self, loss, kind, logits):
        self.assertEqual(loss_kinds.kind(loss), (kind, logits))

    def test_is_own(self):
        self.assertTrue(loss_kinds.is_own(Own()))
        self.assertTrue(loss_kinds.is_own(lambda y, outputs: outputs - y))
        self.assertFalse(loss_kinds.is_own(keras.losses.Huber()))
        self.assertFalse(loss_kinds.is_own(keras.losses.mean_squared_error))
        self.assertFalse(loss_kinds.is_own(None))

    def test_by_output(self):
        mse = keras.losses.mean_squared_error
        names = ["a", "b"]
        self.assertEqual(loss_kinds.by_output("mse", names), [mse, mse])
        self.assertEqual(loss_kinds.by_output([None, mse], names), [None, mse])
        self.assertEqual(loss_kinds.by_output({"a": mse}, names), [mse, None])


if __name__ == "__main__":
    absltest.main()
