"""Data that are wrong are refused at the door, by name."""

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.datasets import samples

X = np.zeros((6, 2), "float32")
Y = np.array([0, 1, 2, 0, 1, 2])


def model(loss="sparse_categorical_crossentropy", dtype="float32", units=3):
    x = keras.Input((2,), dtype=dtype)
    cast = keras.ops.cast(x, "float32")
    built = keras.Model(x, keras.layers.Dense(units)(cast))
    if loss is not None:
        built.compile(loss=loss)
    return built


def changed(array, index, value):
    array = np.array(array)
    array[index] = value
    return array


def own_loss(y, outputs):
    return keras.ops.mean(outputs) + 0 * keras.ops.sum(y)


class ChecksTest(parameterized.TestCase):
    def batches(self, x, y=None, net=None, **options):
        data = x if y is None else (x, y)
        return list(samples.batches(data, "a test", 4, model=net, **options))

    @parameterized.parameters(np.nan, np.inf, -np.inf)
    def test_inputs_that_are_not_finite(self, value):
        x = changed(X, (5, 1), value)
        message = f"finite for a test. Received: {value} at sample 5 "
        for net in (None, model()):
            with self.assertRaisesRegex(ValueError, message):
                self.batches(x, net=net)

    def test_a_sum_that_overflows_is_not_taken_for_infinity(self):
        self.batches(np.full((6, 2), 3e38, "float32"), net=model())

    @parameterized.parameters(
        (np.full((6, 2), 1j),), (np.full((6, 2), None),), (np.full(6, "a"),)
    )
    def test_inputs_that_are_no_numbers(self, x):
        with self.assertRaisesRegex(ValueError, "must (be numbers|have the s)"):
            self.batches(x, net=model())

    @parameterized.parameters("uint8", "int64", "bool")
    def test_integers_become_what_the_model_takes(self, dtype):
        ((x,), _), _ = self.batches(X.astype(dtype), net=model())
        self.assertEqual(x.dtype, np.float32)

    def test_a_model_that_takes_integers(self):
        net = model(dtype="uint8")
        ((x,), _), _ = self.batches(X + 7, net=net)
        self.assertEqual(x.dtype, np.uint8)
        for value in (-1, 256, 0.5):
            with self.assertRaisesRegex(ValueError, "from 0 to 255.*sample 1"):
                self.batches(changed(X, (1, 0), value), net=net)

    @parameterized.parameters(-1, 3, 0.5, np.nan)
    def test_labels_out_of_range(self, value):
        y = changed(Y.astype("float32"), 4, value)
        with self.assertRaisesRegex(ValueError, f"{value} at sample 4"):
            self.batches(X, y, model())
        with self.assertRaisesRegex(ValueError, f"{value} at sample 4"):
            self.batches(X, y[:, None], model())

    def test_labels_beside_a_model_without_a_loss(self):
        with self.assertRaisesRegex(ValueError, "from 0 to 2.*3 at sample 4"):
            self.batches(X, changed(Y, 4, 3), model(None))
        # Numbers to be predicted are no indices.
        self.batches(X, Y * 10.0, model(None))
        self.batches(X, Y * 10, model(None, units=1))

    def test_the_loss_decides_what_labels_are(self):
        one_hot = np.eye(3)[Y]
        for loss, good, bad in (
            ("categorical_crossentropy", one_hot, 2 * one_hot),
            (keras.losses.BinaryCrossentropy(), one_hot, -one_hot),
            ("mse", 9 * one_hot, np.inf * (one_hot + 1)),
            (
                keras.losses.SparseCategoricalCrossentropy(ignore_class=255),
                changed(Y, 1, 255),
                changed(Y, 1, 254),
            ),
        ):
            self.batches(X, good, model(loss))
            with self.assertRaisesRegex(ValueError, "Labels must be"):
                self.batches(X, bad, model(loss))
            # The loss of the call counts, not that of the model.
            with self.assertRaisesRegex(ValueError, "Labels must be"):
                self.batches(X, bad, model("mse"), loss=loss)

    @parameterized.parameters(
        ("sparse_categorical_crossentropy", 3, "class indices .*np.argmax"),
        ("categorical_crossentropy", None, "one-hot rows, .*to_categorical"),
        (keras.losses.CategoricalFocalCrossentropy(), 1, "one-hot rows"),
        ("binary_crossentropy", None, "as long as the outputs"),
        (keras.losses.SparseCategoricalCrossentropy(), 2, "class indices"),
    )
    def test_rows_beside_a_sparse_loss_and_the_reverse(
        self, loss, width, message
    ):
        y = Y if width is None else np.eye(3, width)[Y]
        shape = "N" if width is None else f"N, {width}"
        with self.assertRaisesRegex(ValueError, message) as caught:
            self.batches(X, y, model(loss))
        self.assertIn("for a test, as the loss is ", str(caught.exception))
        self.assertIn("outputs have the shape (N, 3)", str(caught.exception))
        self.assertIn(f"labels of shape ({shape})", str(caught.exception))

    def test_forms_that_keras_makes_equal(self):
        self.batches(X, Y[:, None], model())
        self.batches(X, Y % 2, model("binary_crossentropy", units=1))
        self.batches(X, Y[:, None] % 2, model("binary_crossentropy", units=1))

    def test_a_loss_of_ones_own_takes_any_numbers(self):
        self.batches(X, np.full((6, 3), np.nan), model(own_loss))
        with self.assertRaisesRegex(ValueError, "must be numbers"):
            self.batches(X, np.full(6, "cat"), model(own_loss))

    def test_each_sample_has_its_label(self):
        with self.assertRaisesRegex(ValueError, "4 samples.*\\[3\\]"):
            self.batches([(X[:4], Y[:3])], net=model())

    def test_several_outputs(self):
        x = keras.Input((2,))
        heads = [keras.layers.Dense(n, name=f"d{n}")(x) for n in (3, 1)]
        net = keras.Model(x, heads)
        net.compile(loss=["sparse_categorical_crossentropy", "mse"])
        self.batches(X, [Y, Y * 9.0], net)
        with self.assertRaisesRegex(ValueError, "from 0 to 2"):
            self.batches(X, [Y + 1, Y * 9.0], net)

    def test_training_data_are_checked_before_training(self):
        samples.check((X, Y), "a test", 4, model())
        with self.assertRaisesRegex(ValueError, "3 at sample 5"):
            samples.check((X, changed(Y, 5, 3)), "a test", 4, model())
        with self.assertRaisesRegex(ValueError, "read only once|several"):
            samples.check(iter([(X, Y)]), "a test", 4, model())
