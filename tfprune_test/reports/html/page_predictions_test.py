import types

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.reports import answers
from tfprune.reports.html import markup
from tfprune.reports.html import page_predictions


def page(*outcomes):
    return types.SimpleNamespace(outcomes=outcomes)


class OutcomesTest(parameterized.TestCase):
    def confusion(self, before, after=None):
        labels = tuple("abc"[: len(before)])
        sides = [None if m is None else np.array(m) for m in (before, after)]
        found = answers.Confusion("y", labels, *sides)
        return markup.text(page_predictions.outcomes(page(found)))

    def test_right_ones_are_counted(self):
        text = self.confusion([[8, 2], [1, 9]], [[10, 0], [4, 6]])
        self.assertIn("before: 17 of 20 correct (85.00%)", text)
        self.assertIn("after: 16 of 20 correct (80.00%)", text)
        self.assertIn("b predicted as a: 4 (40.0% of its samples)", text)

    def test_long_names_do_not_widen_their_columns(self):
        short = self.confusion([[1, 0], [0, 1]])
        self.assertIn('class="confusion"', short)
        names = ("cat", "elephant")
        found = answers.Confusion("y", names, np.eye(2, dtype=int))
        text = markup.text(page_predictions.outcomes(page(found)))
        self.assertIn('class="confusion long"', text)

    def test_pairs_are_ordered_by_the_smaller_network(self):
        found = answers.Confusion(
            "y",
            ("a", "b", "c"),
            np.array([[5, 5, 0], [0, 9, 1], [0, 0, 9]]),
            np.array([[9, 1, 0], [0, 5, 5], [0, 0, 9]]),
        )
        text = markup.text(page_predictions._pairs(found))
        rows = text.split("<tr>")[2:]
        self.assertLen(rows, 2)
        self.assertIn(">b<", rows[0])
        self.assertIn(">a<", rows[1])

    def test_a_perfect_network(self):
        self.assertIn(
            "No sample is misclassified", self.confusion([[3, 0], [0, 4]])
        )

    def test_errors_of_a_regression(self):
        found = answers.Errors(
            "size",
            np.array([-1.0, 0.0, 1.0, 2.0]),
            np.array([0.0, 0.0, 0.0, 2.0]),
        )
        text = markup.text(page_predictions.outcomes(page(found)))
        # Mean absolute errors of 1 and 0.5, the root of 6 / 4 and of 1.
        for number in (">1<", ">0.5<", ">1.225<"):
            self.assertIn(number, text)
        self.assertEqual(text.count("<figure"), 2)

    @parameterized.parameters(np.nan, np.inf, -np.inf)
    def test_errors_that_are_no_numbers_are_in_no_bar(self, odd):
        found = answers.Errors(
            "size", np.array([-1.0, 0.0, 1.0]), np.array([0.0, odd, odd])
        )
        text = markup.text(page_predictions.outcomes(page(found)))
        self.assertIn("2 values are NaN or infinite, and in no bar", text)
        self.assertIn(f">{abs(odd):.4g}<", text)
        self.assertEqual(text.count("<figure"), 2)

    def test_errors_of_which_none_is_a_number(self):
        found = answers.Errors("size", np.full(3, np.nan))
        text = markup.text(page_predictions.outcomes(page(found)))
        self.assertIn("3 values are NaN or infinite", text)

    def test_one_network_is_neither_before_nor_after(self):
        found = answers.Errors("size", np.array([-1.0, 1.0]))
        text = markup.text(page_predictions.outcomes(page(found)))
        self.assertIn(">Errors of size<", text)

    def test_no_predictions_no_section(self):
        self.assertIsNone(page_predictions.outcomes(page()))


if __name__ == "__main__":
    absltest.main()
