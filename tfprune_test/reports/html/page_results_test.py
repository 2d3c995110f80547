import types

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.reports import answers
from tfprune.reports import quantities
from tfprune.reports.html import markup
from tfprune.reports.html import page as page_lib
from tfprune.reports.html import page_results


def page(*found, **facts):
    facts = {"measured": (), "after": None, **facts}
    return types.SimpleNamespace(quantities=lambda: list(found), **facts)


def quantity(name, before, after, **facts):
    return quantities.Quantity(name, before, after, **facts)


class VerdictTest(absltest.TestCase):
    def test_without_limits_there_is_none(self):
        self.assertIsNone(page_results.verdict(page(quantity("macs", 9, 3))))

    def test_what_fits_and_what_does_not(self):
        good = quantity("flash", 900, 300, limit=400)
        bad = quantity("ram", 900, 500, limit=400)
        self.assertIn(
            "✓ Fits: flash.", markup.text(page_results.verdict(page(good)))
        )
        text = markup.text(page_results.verdict(page(good, bad)))
        self.assertIn("✗ Does not fit: ram 500, limit 400.", text)


class FrontierTest(absltest.TestCase):
    def text(self, points, **facts):
        found = page_lib.Frontier("accuracy", tuple(points), **facts)
        return page_results.frontier(page(frontier=found))

    def test_a_panel_for_each_cost(self):
        points = [
            page_lib.FrontierPoint("a", 0.9, {"macs": 2000, "params": 50}),
            page_lib.FrontierPoint("b", 0.8, {"macs": 1000}, chosen=True),
        ]
        text = markup.text(self.text(points))
        self.assertEqual(text.count("<figure"), 2)
        self.assertIn("b (chosen)", text)
        self.assertIn("2 networks", text)
        self.assertIn("accuracy from 80 to 90", text)

    def test_no_points_no_section(self):
        self.assertIsNone(self.text([]))


class OutcomesTest(parameterized.TestCase):
    def confusion(self, before, after=None):
        labels = tuple("abc"[: len(before)])
        sides = [None if m is None else np.array(m) for m in (before, after)]
        found = answers.Confusion("y", labels, *sides)
        return markup.text(page_results.outcomes(page(outcomes=(found,))))

    def test_right_ones_are_counted(self):
        text = self.confusion([[8, 2], [1, 9]], [[10, 0], [4, 6]])
        self.assertIn("before: 17 of 20 correct (85.00%)", text)
        self.assertIn("after: 16 of 20 correct (80.00%)", text)
        self.assertIn("b predicted as a: 4 (40.0% of its samples)", text)

    def test_pairs_are_ordered_by_the_smaller_network(self):
        found = answers.Confusion(
            "y",
            ("a", "b", "c"),
            np.array([[5, 5, 0], [0, 9, 1], [0, 0, 9]]),
            np.array([[9, 1, 0], [0, 5, 5], [0, 0, 9]]),
        )
        text = markup.text(page_results._pairs(found))
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
        text = markup.text(page_results.outcomes(page(outcomes=(found,))))
        # Mean absolute errors of 1 and 0.5, the root of 6 / 4 and of 1.
        for number in (">1<", ">0.5<", ">1.225<"):
            self.assertIn(number, text)
        self.assertEqual(text.count("<figure"), 2)

    def test_no_predictions_no_section(self):
        self.assertIsNone(page_results.outcomes(page(outcomes=())))


if __name__ == "__main__":
    absltest.main()
