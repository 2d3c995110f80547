"""Charts: round ticks, names that cover nothing, points where they belong."""

import re

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.reports.html import markup
from tfprune.reports.html import svg_panels


def panel(x=(0, 10), y=(0, 1), **options):
    return svg_panels.Panel("t", x, y, "x", "y", **options)


def texts(drawn):
    """`dict` from the texts of a chart to their `(x, y)`."""
    found = re.findall(
        r'<text x="([-\d.]+)" y="([-\d.]+)"[^>]*>([^<]*)<', markup.text(drawn)
    )
    return {text: (float(x), float(y)) for x, y, text in found}


class PanelTest(parameterized.TestCase):
    @parameterized.parameters(
        ((0, 10), False, ["0", "2.5", "5", "7.5", "10"]),
        ((0.13, 0.19), False, ["0.14", "0.16", "0.18"]),
        ((3, 800), True, ["10", "100"]),
        ((12_000, 80_000), False, ["20k", "40k", "60k", "80k"]),
        ((5, 5), False, ["5", "5.25", "5.5", "5.75", "6"]),
        ((10_000, 11_000), False, ["10k", "10.25k", "10.5k", "10.75k"]),
        ((1_201_000, 1_203_000), False, ["1.201M", "1.2015M", "1.202M"]),
        ((98.76, 98.77), False, ["98.7625", "98.765", "98.7675"]),
    )
    def test_ticks_are_round(self, x, log, wanted):
        drawn = texts(panel(x=x, y=(1e9, 2e9), log_x=log).figure(""))
        self.assertContainsSubset(wanted, drawn)

    def test_a_point_lies_between_its_axes(self):
        drawn = panel(size=(162, 154))
        drawn.line([(0, 0), (5, 0.5), (10, 1)], "s")
        # From 50 to 150 and from 118 up to 18.
        self.assertIn(
            'd="M50.0 118.0L100.0 68.0L150.0 18.0"',
            markup.text(drawn.figure("")),
        )

    def test_gaps_and_infinities_are_left_out(self):
        drawn = panel()
        drawn.line([(1, float("nan")), (2, None)], "s")
        self.assertNotIn("<path", markup.text(drawn.figure("")))

    @parameterized.parameters(float("nan"), float("inf"))
    def test_what_is_not_finite_is_not_drawn_at_the_edge(self, value):
        drawn = panel()
        drawn.dot(1, value, "lost", "told", "name")
        drawn.dot(value, 0.5, "lost", "told")
        drawn.level(value, "text", "lost")
        text = markup.text(drawn.figure(""))
        self.assertNotIn("lost", text)
        self.assertNotIn(str(value), text)

    def test_names_cover_neither_marks_nor_one_another(self):
        drawn = panel()
        for i in range(4):
            drawn.dot(5 + 0.3 * i, 0.5, "s", "told", f"network {i}")
        drawn.dot(1, 0.9, "s", "told", "alone")
        places = texts(drawn.figure(""))
        self.assertIn("network 0", places)
        self.assertIn("alone", places)
        boxes = [
            (x, x + 6 * len(name), y)
            for name, (x, y) in places.items()
            if name.startswith("network")
        ]
        for one in boxes:
            for other in boxes:
                apart = abs(one[2] - other[2]) >= 12
                beside = one[1] <= other[0] or other[1] <= one[0]
                self.assertTrue(one == other or apart or beside)

    def test_many_steps_share_bands(self):
        drawn = panel(x=(0, 1000))
        drawn.bands([(i, str(i)) for i in range(1000)])
        found = markup.text(drawn.figure("")).count('class="mark"')
        self.assertBetween(found, 100, 160)

    def test_styles_of_many_lines_differ(self):
        self.assertLen(set(svg_panels.styles(13)), 13)


class SpanTest(absltest.TestCase):
    def test_there_is_room_beyond_the_numbers(self):
        low, high = svg_panels.span([1, 2, None, float("inf")])
        self.assertLess(low, 1)
        self.assertBetween(high, 2, 2.2)
        self.assertEqual(svg_panels.span([3, 5], zero=True)[0], 0)
        self.assertEqual(svg_panels.span([]), (0.0, 1.0))


if __name__ == "__main__":
    absltest.main()
