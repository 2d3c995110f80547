"""Right answers and errors, counted by hand."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.datasets import outputs
from tfprune.datasets import tally

LOGITS = keras.losses.BinaryCrossentropy(from_logits=True)
SCORES = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
ONE_HOT = np.eye(2)[[0, 1, 1, 0]]
MANY = np.array([[1, 1], [0, 0], [0, 1], [1, 1]])


def own_loss(y, outputs):
    return keras.ops.mean(keras.ops.square(y - outputs), -1)


def quality(y, answers, loss=None, batch=4):
    """Of all samples, counted in batches."""
    if loss is not None:
        loss = keras.losses.get(loss)
    counted = tally.Tally("it", outputs.Output("a", (None, 2), loss))
    for i in range(0, len(y), batch):
        part = slice(i, i + batch)
        counted.add(np.asarray(y)[part], np.asarray(answers)[part])
    return counted.quality()


class TallyTest(parameterized.TestCase):
    def test_what_a_mask_hides_does_not_count(self):
        counted = tally.Tally("net")
        scores = np.array([[[0.9, 0.1], [0.9, 0.1]]] * 3)
        y = np.array([[0, 1]] * 3)
        counted.add(y, scores, np.array([[True, False]] * 3))
        self.assertEqual(counted.quality(), (tally.ACCURACY, 1.0))
        counted.add(y, scores, None)
        self.assertEqual(counted.quality(), (tally.ACCURACY, 6 / 9))

    @parameterized.parameters(
        (np.array([0, 1, 1, 0]), SCORES, ("accuracy", 5 / 8)),
        (ONE_HOT, SCORES, ("accuracy", 5 / 8)),
        (np.array([0, 1, 1, 0]), SCORES[:, 1:], ("accuracy", 5 / 8)),
        (
            np.array([2.0, 0, 0, 1]),
            np.array([[1.0], [0], [4], [1]]),
            ("mean absolute error", 9 / 8),
        ),
    )
    def test_samples_count_by_their_weights(self, y, answers, expected):
        weights = np.array([1, 2, 4, 1])
        if expected[0] == "mean absolute error":
            weights = np.array([1, 4, 2, 1])
        counted = tally.Tally("it")
        for part in (slice(3), slice(3, 4)):
            counted.add(y[part], answers[part], None, weights[part])
        self.assertEqual(counted.quality(), expected)

    def test_steps_count_by_their_weights(self):
        y = np.array([[0, 1], [1, 1]])
        scores, mask = SCORES.reshape(2, 2, 2), np.array([[1, 1], [1, 0]], bool)
        counted = tally.Tally("it")
        counted.add(y, scores, mask, np.array([[1, 2], [4, 8]]))
        self.assertEqual(counted.quality(), ("accuracy", 5 / 7))
        nothing = tally.Tally("it")
        nothing.add(y, scores, None, np.zeros((2, 2)))
        self.assertTrue(nothing.is_empty)

    def test_one_weight_for_all_steps(self):
        y, scores = np.array([[0, 1], [1, 1]]), SCORES.reshape(2, 2, 2)
        for weights in ([1, 3], [[1], [3]], [[[1]], [[3]]]):
            counted = tally.Tally("it")
            counted.add(y, scores, None, np.array(weights))
            self.assertEqual(counted.quality(), ("accuracy", 7 / 8))
        counted = tally.Tally("it")
        images = np.tile(scores[:, None], (1, 3, 1, 1))
        counted.add(
            np.tile(y[:, None], (1, 3, 1)),
            images,
            None,
            np.array([[[1, 2]], [[4, 8]]]),
        )
        self.assertEqual(counted.quality(), ("accuracy", 13 / 15))

    def test_weights_that_do_not_fit(self):
        with self.assertRaisesRegex(ValueError, "a weight for each.*(4, 3)"):
            tally.Tally("it").add(ONE_HOT, SCORES, None, np.ones((4, 3)))

    @parameterized.product(
        y=([0, 1, 1, 0], [[0], [1], [1], [0]], ONE_HOT.tolist()),
        batch=(1, 3, 4),
        loss=(None, "sparse_categorical_crossentropy"),
    )
    def test_classes(self, y, batch, loss):
        found = quality(y, SCORES, loss, batch)
        self.assertEqual(found, ("accuracy", 0.5))

    def test_soft_labels(self):
        found = quality(0.9 * ONE_HOT + 0.05, 5 * SCORES)
        self.assertEqual(found, ("accuracy", 0.5))

    def test_a_class_for_each_place(self):
        y = np.array([[0, 1], [1, 1]])
        found = quality(y, SCORES.reshape(2, 2, 2))
        self.assertEqual(found, ("accuracy", 0.75))

    # Some rows of several classes that may hold look one-hot.
    @parameterized.parameters(1, 2, 4)
    def test_several_classes_that_may_hold(self, batch):
        found = quality(MANY, SCORES, "binary_crossentropy", batch)
        self.assertEqual(found, ("accuracy", 5 / 8))

    @parameterized.parameters(
        (None, 0.0, 0.75),
        ("binary_crossentropy", 0.0, 0.75),
        ("binary_crossentropy", 1.0, 0.5),  # clipped, and still above 0.5
        (LOGITS, -0.5, 0.75),
        (own_loss, 0.0, 0.75),
    )
    def test_two_classes(self, loss, shift, right):
        y, x = [0, 1, 1, 0], np.array([0.2, 0.8, 0.9, 0.7])
        for given in (x + shift, (x + shift)[:, None]):
            self.assertEqual(quality(y, given, loss, 2), ("accuracy", right))

    @parameterized.parameters((None, -0.5), (own_loss, 1.0), ("mse", 0.0))
    def test_what_may_be_no_probability_is_a_number(self, loss, shift):
        y, x = np.array([0, 1, 1, 0]), np.array([0.2, 0.8, 0.9, 0.7]) + shift
        name, value = quality(y, x, loss, 2)
        self.assertEqual(name, "mean absolute error")
        self.assertAlmostEqual(value, np.abs(x - y).mean())

    @parameterized.parameters(((6,),), ((6, 1),), ((2, 3),), ((3, 2, 1),))
    def test_numbers(self, shape):
        rng = np.random.default_rng(0)
        y, x = rng.normal(size=(2, *shape))
        name, value = quality(y, x, batch=1)
        self.assertEqual(name, "mean absolute error")
        self.assertAlmostEqual(value, np.abs(x - y).mean())
        # Labels of a column may lack its axis.
        if shape[-1] == 1:
            same = quality(y[..., 0], x, batch=1)
            self.assertEqual(same, (name, value))

    def test_what_does_not_fit(self):
        counted = tally.Tally("it")
        with self.assertRaisesRegex(ValueError, r"it of shape \(4, 1\)"):
            counted.add(np.zeros(3), np.zeros((4, 1)))
        with self.assertRaisesRegex(ValueError, r"scores of shape \(4, 2\)"):
            counted.add(np.zeros((4, 3)), SCORES)
        with self.assertRaisesRegex(ValueError, "as it has 2 classes"):
            counted.add(np.full(4, 2), SCORES)

    @parameterized.parameters(
        (False, [0.2, 0.9, 0.9, 0.2], 0.5),  # as of probabilities
        (True, [0.2, 0.9, 0.9, 0.2], 0.5),
        (True, [-0.1, 0.2, 0.3, 1.5], 0.75),
    )
    def test_answers_beyond_probabilities_may_be_logits(
        self, may_be_logits, answers, right
    ):
        counted = tally.Tally("it", may_be_logits=may_be_logits)
        y = np.array([0, 1, 1, 0])
        if right == 0.5:
            y = np.array([0, 1, 0, 1])
        for i in range(4):
            counted.add(y[i : i + 1], np.array(answers)[i : i + 1])
        self.assertEqual(counted.quality(), ("accuracy", right))
        counted.add(np.array([2]), np.array([0.5]))
        self.assertEqual(counted.quality()[0], "mean absolute error")

    def test_no_accuracy_of_numbers(self):
        counted = tally.Tally("it")
        counted.add(SCORES + 1, SCORES)
        with self.assertRaisesRegex(
            ValueError, r"it with outputs of shape \(N, 2\).* Do that.$"
        ):
            counted.accuracy("Do that.")

    def test_what_the_loss_ignores_does_not_count(self):
        loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
        found = quality([0, -1, 1, -1], SCORES, loss, 2)
        self.assertEqual(found, ("accuracy", 1.0))
        counted = tally.Tally("it", outputs.Output("a", (None, 2), loss))
        counted.add(np.full(4, -1), SCORES)
        self.assertTrue(counted.is_empty)
        with self.assertRaisesRegex(ValueError, "all masked or ignored. Do"):
            counted.accuracy("Do that.")

    def test_each_output_has_a_tally(self):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        self.assertLen(tally.of_outputs(model), 1)

    @parameterized.parameters("bool", "float16", "float32", "bfloat16")
    def test_what_a_metric_gives_is_added_up_exactly(self, dtype):
        found = tally.of_samples(keras.ops.ones(1000, dtype), SCORES)
        self.assertEqual(tally.mean([found, found[:0]]), 1)

    def test_no_numbers_have_no_mean(self):
        found = [tally.of_samples([], SCORES)] * 2
        with self.assertRaisesRegex(ValueError, "no number for any"):
            tally.mean(found)


if __name__ == "__main__":
    absltest.main()
