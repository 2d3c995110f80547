"""Curves: what is drawn is what was measured, and legends stand outside."""

import math
import types

import numpy as np
from absl.testing import absltest

from tfprune.plots import curve_plots
from tfprune.reports.html import page as page_lib
from tfprune.searches import curves
from tfprune.searches import searching


def named(axes):
    """`dict` from the names of lines to their `(x, y)`."""
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.lines
    }


def search(strategy, values):
    trials = [types.SimpleNamespace(accuracy=value) for value in values]
    dense, count = max(values), len(values)
    return searching.Search(
        strategy, (), dense, tuple(trials), 1, count, None, "accuracy"
    )


class SensitivityTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        points = [
            curves.Point(f"conv{i}", ratio, 4, 8, 0.9 - ratio * i / 20)
            for i in range(16)
            for ratio in (0.25, 0.5)
        ]
        found = curves.Sensitivity("net", "accuracy", 0.9, tuple(points))
        self.figure = curve_plots.sensitivity_plot(found, chance=0.1)
        self.axes = self.figure.axes[0]

    def test_curves_begin_at_the_full_model(self):
        x, y = named(self.axes)["conv10 (8)"]
        np.testing.assert_allclose(x, [0, 0.25, 0.5])
        np.testing.assert_allclose(y, [0.9, 0.775, 0.65])

    def test_dense_and_chance_are_lines_with_names(self):
        texts = {text.get_text() for text in self.axes.texts}
        self.assertEqual(texts, {"dense 0.9", "chance 0.1"})
        levels = [y for _, y in named(self.axes).values()]
        self.assertIn([0.9, 0.9], levels)
        self.assertIn([0.1, 0.1], levels)

    def test_the_legend_stands_outside(self):
        self.assertIsNone(self.axes.get_legend())
        self.assertLen(self.figure.legends[0].get_texts(), 16)

    def test_names_are_drawn_as_they_are(self):
        points = [curves.Point(n, 0.5, 1, 2, 0.4) for n in ("_a", "b$^{$")]
        found = curves.Sensitivity("n$^{$", "accuracy", 0.9, tuple(points))
        path = self.create_tempdir().full_path + "/a.svg"
        figure = curve_plots.sensitivity_plot(found, path)
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        self.assertEqual(texts, ["_a (2)", "b$^{$ (2)"])


class SearchTest(absltest.TestCase):
    def test_the_best_so_far_is_named_and_never_falls(self):
        found = [search("amc", [0.2, 0.5, 0.3]), search("uniform", [0.4])]
        figure = curve_plots.search_plot(found)
        lines = named(figure.axes[0])
        self.assertEqual(lines["amc: best so far"][1], [0.2, 0.5, 0.5])
        self.assertEqual(lines["uniform: its one trial"][1], [0.4, 0.4])
        self.assertIsNone(figure.axes[0].get_legend())
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        self.assertIn("amc: best so far", texts)

    def test_a_trial_that_is_no_number_does_not_hide_the_best(self):
        figure = curve_plots.search_plot(search("amc", [math.nan, 0.5, 0.3]))
        best = named(figure.axes[0])["amc: best so far"][1]
        self.assertEqual(best[1:], [0.5, 0.5])


class FrontierTest(absltest.TestCase):
    def frontier(self, values):
        points = [
            page_lib.FrontierPoint("", value, {"macs": 100 * i, "params": i})
            for i, value in enumerate(values, start=1)
        ]
        return page_lib.Frontier("accuracy", tuple(points))

    def test_each_cost_has_a_panel_with_the_drop(self):
        both = {
            "l1": self.frontier([0.5, 0.75]),
            "l2": self.frontier([0.25, 1.0]),
        }
        figure = curve_plots.frontier_plot(both, dense=1.0)
        macs, params = figure.axes
        self.assertEqual(macs.get_xlabel(), "MACs")
        self.assertEqual(params.get_xlabel(), "parameters")
        self.assertEqual(macs.get_ylabel(), "drop in accuracy, points")
        self.assertEqual(named(macs)["l1"], ([100, 200], [50.0, 25.0]))
        self.assertEqual(named(params)["l2"], ([1, 2], [75.0, 0.0]))

    def test_one_frontier_needs_no_legend(self):
        figure = curve_plots.frontier_plot(self.frontier([0.5, 0.75]))
        self.assertEmpty(figure.legends)
        self.assertEqual(figure.axes[0].get_ylabel(), "accuracy, %")

    def test_a_method_of_one_panel_is_in_the_legend(self):
        point = page_lib.FrontierPoint("", 0.5, {"flash_bytes": 9})
        only = page_lib.Frontier("accuracy", (point,))
        figure = curve_plots.frontier_plot(
            {"l1": self.frontier([0.5, 0.75]), "board": only}
        )
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        self.assertEqual(texts, ["l1", "board"])

    def test_nothing_to_draw_is_refused(self):
        with self.assertRaisesRegex(ValueError, "points have costs"):
            curve_plots.frontier_plot(page_lib.Frontier("accuracy", ()))


if __name__ == "__main__":
    absltest.main()
