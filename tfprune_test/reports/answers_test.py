"""Outcomes: confusions counted by hand, errors, several outputs."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.datasets import outputs
from tfprune.reports import answers


class OutcomeTest(parameterized.TestCase):
    def test_rows_are_truths_and_columns_are_answers(self):
        truth = np.array([0, 0, 1, 2])
        scores = np.eye(3)[[0, 1, 1, 0]]
        found = answers.outcome("y", truth, scores, np.eye(3)[truth], "abc")
        self.assertEqual(found.labels, ("a", "b", "c"))
        np.testing.assert_array_equal(
            found.before, [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
        )
        np.testing.assert_array_equal(found.after, np.diag([2, 1, 1]))

    def test_one_hot_truths_are_classes(self):
        truth = np.eye(2)[[0, 1, 1]]
        found = answers.outcome("y", truth, np.eye(2)[[1, 1, 1]])
        np.testing.assert_array_equal(found.before, [[0, 1], [0, 2]])
        self.assertIsNone(found.after)

    def test_a_class_for_each_pixel_is_counted(self):
        truth = np.array([[[0, 1]], [[1, 1]]])
        found = answers.outcome("map", truth, np.eye(2)[1 - truth])
        np.testing.assert_array_equal(found.before, [[0, 1], [3, 0]])

    @parameterized.parameters(
        dict(truth=[1.5, 2.0], answer=[[1.0], [2.5]]),
        dict(truth=[1, 2], answer=[[0.5], [2.5]]),
    )
    def test_all_else_is_regression(self, truth, answer):
        truth, answer = np.array(truth), np.array(answer)
        found = answers.outcome("size", truth, answer)
        self.assertIsInstance(found, answers.Errors)
        np.testing.assert_array_equal(found.before, answer[:, 0] - truth)

    @parameterized.parameters(
        (None, 0.0), (keras.losses.BinaryCrossentropy(from_logits=True), -0.5)
    )
    def test_two_classes_may_have_one_score(self, loss, shift):
        truth, answer = np.array([0, 1, 1]), np.array([[0.2], [0.9], [0.1]])
        output = outputs.Output("y", (None, 1), loss)
        found = answers.outcome("y", truth, answer + shift, output=output)
        np.testing.assert_array_equal(found.before, [[1, 0], [1, 1]])
        self.assertEqual(found.labels, ("0", "1"))
        found = answers.outcome("y", truth, answer, answer, ["no", "yes"])
        self.assertEqual(found.labels, ("no", "yes"))
        np.testing.assert_array_equal(found.after, [[1, 0], [1, 1]])

    def test_whole_floats_are_classes_where_the_loss_is_sparse(self):
        truth = np.array([0.0, 1.0, 1.0], "float32")
        scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        sparse = keras.losses.SparseCategoricalCrossentropy()
        output = outputs.Output("y", (None, 2), sparse)
        for shape in ((3,), (3, 1)):
            found = answers.outcome(
                "y",
                truth.reshape(shape),
                scores,
                output=output,
            )
            np.testing.assert_array_equal(found.before, [[1, 0], [1, 1]])

    def test_labels_out_of_range_are_refused(self):
        with self.assertRaisesRegex(ValueError, r"in \[0, 2\).*from 0 to 2"):
            answers.outcome("y", np.array([0, 2]), np.eye(2))
        with self.assertRaisesRegex(ValueError, "name for each of 2 classes"):
            answers.outcome("y", np.array([0, 1]), np.eye(2), labels=["a"])
        with self.assertRaisesRegex(ValueError, "the same number"):
            answers.outcome("y", np.zeros(3), np.zeros((2, 1)))


class OutcomesTest(absltest.TestCase):
    def test_outputs_are_told_apart_by_name(self):
        inputs = keras.Input((2,))
        size = keras.layers.Dense(1, use_bias=False, name="size")
        kind = keras.layers.Dense(2, use_bias=False, name="kind")
        model = keras.Model(
            inputs, {"size": size(inputs), "kind": kind(inputs)}
        )
        size.kernel.assign([[1.0], [1.0]])
        kind.kernel.assign([[1.0, 0.0], [0.0, 1.0]])
        x = np.array([[1.0, 0.0], [0.0, 3.0]], "float32")
        y = {"size": np.array([1.0, 2.0]), "kind": np.array([0, 0])}
        found = {o.name: o for o in answers.outcomes([model, model], (x, y))}
        np.testing.assert_array_equal(found["size"].before, [0.0, 1.0])
        np.testing.assert_array_equal(found["kind"].after, [[1, 1], [0, 0]])

    def test_models_that_name_no_output_are_asked_too(self):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        x = np.zeros((4, 2), "float32")
        (found,) = answers.outcomes([model], (x, np.array([0, 1, 2, 0])))
        self.assertEqual(found.name, "output")
        np.testing.assert_array_equal(found.before[:, 0], [2, 1, 1])

    def test_outputs_without_labels_are_left_out(self):
        x = keras.Input((2,))
        heads = [keras.layers.Identity(name=name)(x) for name in "ab"]
        model = keras.Model(x, heads)
        data = (np.eye(2, dtype="float32"), {"b": np.array([0, 0])})
        (found,) = answers.outcomes([model], data)
        self.assertEqual(found.name, "b")
        np.testing.assert_array_equal(found.before, [[1, 1], [0, 0]])

    def test_a_class_that_the_loss_ignores_is_left_out(self):
        x = keras.Input((2,))
        model = keras.Model(x, keras.layers.Identity(name="a")(x))
        loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
        data = (np.eye(2, dtype="float32"), np.array([0, -1]))
        (found,) = answers.outcomes([model], data, losses=loss)
        np.testing.assert_array_equal(found.before, [[1, 0], [0, 0]])

    def test_what_has_no_weight_is_left_out(self):
        x = keras.Input((2, 2))
        steps = keras.layers.Identity(name="steps")(x)
        last = keras.layers.Lambda(lambda x: x[:, 1], name="last")(x)
        model = keras.Model(x, [steps, last])
        inputs = np.stack([np.eye(2, dtype="float32")] * 3)
        truths = {"steps": [[0, 1], [0, 0], [1, 1]], "last": [1, 0, 0]}
        truths = {name: np.array(y) for name, y in truths.items()}
        weights = {
            "steps": np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.5]]),
            "last": np.array([1.0, 0.0, 3.0]),
        }
        data = (inputs, truths, weights)
        found = {o.name: o for o in answers.outcomes([model], data)}
        np.testing.assert_array_equal(found["steps"].before, [[2, 0], [0, 2]])
        np.testing.assert_array_equal(found["last"].before, [[0, 1], [0, 1]])
        # A weight of each sample is that of all outputs.
        data = (inputs, truths, np.array([0.0, 1.0, 0.0]))
        steps, last = answers.outcomes([model], data)
        np.testing.assert_array_equal(steps.before, [[1, 1], [0, 0]])
        np.testing.assert_array_equal(last.before, [[0, 1], [0, 0]])

    def test_numbers_without_weight_are_left_out(self):
        x = keras.Input((2,))
        model = keras.Model(x, keras.layers.Lambda(lambda x: x[:, 0])(x))
        inputs, weights = np.eye(2, dtype="float32"), np.array([0.0, 1.0])
        for y in (np.array([9.0, 0.25]), np.array([[9.0], [0.25]])):
            (found,) = answers.outcomes([model], (inputs, y, weights))
            np.testing.assert_array_equal(found.before, [-0.25])

    def test_what_does_not_fit_is_refused(self):
        inputs = keras.Input((2,))
        model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        x = np.zeros((2, 2), "float32")
        with self.assertRaisesRegex(ValueError, "2 arrays of labels"):
            answers.outcomes([model], (x, [np.zeros(2), np.zeros(2)]))
        with self.assertRaisesRegex(ValueError, "One or two models"):
            answers.outcomes([], (x, np.zeros(2)))


if __name__ == "__main__":
    absltest.main()
