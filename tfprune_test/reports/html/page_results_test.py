import math
import types

from absl.testing import absltest

from tfprune.deploy import layer_errors
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

    def test_a_limit_that_is_missed_by_little(self):
        text = markup.text(
            page_results.verdict(
                page(
                    quantity("latency", 2.0, 1.00004, unit="ms", limit=1.0),
                    quantity(
                        *("accuracy", 0.9, 0.89999),
                        unit="%",
                        limit=0.9,
                        larger_is_better=True,
                    ),
                    quantity("bytes", 9, 11, limit=10),
                )
            )
        )
        self.assertIn("latency 1.00004 ms, limit 1 ms", text)
        self.assertIn("accuracy 89.999 %, limit 90 %", text)
        self.assertIn("bytes 11, limit 10", text)


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

    def test_a_network_without_a_metric_is_in_the_table_alone(self):
        points = (
            page_lib.FrontierPoint("lost", math.nan, {"macs": 100}),
            page_lib.FrontierPoint("good", 0.75, {"macs": 200}),
        )
        text = markup.text(self.text(points))
        self.assertEqual(text.count("<circle"), 2)  # Of one dot.
        self.assertIn("accuracy from 75 to 75.", text)
        self.assertIn("nan %", text)

    def test_no_points_no_section(self):
        self.assertIsNone(self.text([]))


class QuantizationTest(absltest.TestCase):
    def test_what_cannot_be_compared_is_not_exact(self):
        errors = [
            layer_errors.TensorError(name, sqnr, 0.1, 0.0)
            for name, sqnr in (
                *(("masked", math.nan), ("copied", math.inf)),
                *(("fine", 30.0), ("bad", 5.0), ("worse", -3.0)),
            )
        ]
        found = layer_errors.QuantizationError(tuple(errors))
        self.assertEqual(
            [t.name for t in found.worst()],
            ["worse", "bad", "fine", "copied", "masked"],
        )
        facts = types.SimpleNamespace(quantization=found)
        text = markup.text(page_results.quantization(facts))
        self.assertEqual(text.count("exact"), 2)  # In a cell and its hint.
        self.assertIn("masked\nnan dB; relative error", text)


if __name__ == "__main__":
    absltest.main()
