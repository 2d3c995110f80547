from absl.testing import absltest

from tfprune.reports.html import legends
from tfprune.reports.html import markup


class LegendsTest(absltest.TestCase):
    def test_fields(self):
        found = markup.text(legends.fields(("kept", "kept channels")))
        self.assertEqual(
            found,
            '<ul class="keys"><li><svg width="14" height="12" '
            'aria-hidden="true"><rect width="14" height="12" class="kept">'
            "</rect></svg>kept channels</li></ul>",
        )

    def test_lines(self):
        found = legends.lines([("loss", "s-before"), ("a < b", "s-after")])
        self.assertLen(found, 2)
        text = markup.text(found)
        self.assertIn('class="line s-before"', text)
        self.assertIn("a &lt; b", text)

    def test_no_lines_no_legend(self):
        self.assertIsNone(legends.lines([]))


if __name__ == "__main__":
    absltest.main()
