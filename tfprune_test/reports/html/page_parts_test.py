from xml.etree import ElementTree

from absl.testing import absltest

from tfprune.reports.html import markup
from tfprune.reports.html import page_parts


def texts(element, path):
    return ["".join(found.itertext()) for found in element.iterfind(path)]


class TableTest(absltest.TestCase):
    def test_its_cells(self):
        table = page_parts.table(
            ("layer", "kind", "MACs"),
            [("<a>", "conv", "9"), (markup.tag("b", "b"), "dense", "12")],
            caption="Layers",
            left=2,
        )
        self.assertEqual(table.get("aria-label"), "Layers")
        self.assertEqual(texts(table, ".//caption"), ["Layers"])
        self.assertEqual(
            texts(table, ".//thead//th"), ["layer", "kind", "MACs"]
        )
        self.assertEqual(texts(table, ".//tbody//th"), ["<a>", "b"])
        self.assertEqual(
            texts(table, ".//tbody//td"), ["conv", "9", "dense", "12"]
        )

    def test_numbers_stand_on_the_right_and_know_their_column(self):
        table = page_parts.table(
            ("layer", "kind", "MACs"), [("a", "conv", "9")], left=2
        )
        heads = [th.get("class") for th in table.iterfind(".//thead//th")]
        self.assertEqual(heads, [None, None, "number"])
        cells = list(table.iterfind(".//tbody//td"))
        self.assertEqual(
            [(td.get("class"), td.get("data-column")) for td in cells],
            [(None, "kind"), ("number", "MACs")],
        )

    def test_one_without_caption_or_rows(self):
        table = page_parts.table(("layer",), [])
        self.assertEqual(table.get("aria-label"), "table")
        self.assertIsNone(table.find(".//caption"))
        self.assertEqual(texts(table, ".//tbody//*"), [])


class BarTest(absltest.TestCase):
    def bars(self, *numbers):
        svg = page_parts.bar(*numbers, "told")
        self.assertEqual(texts(svg, "title"), ["told"])
        return {
            rect.get("class"): rect.get("width")
            for rect in svg.iterfind("rect")
        }

    def test_each_is_its_share_of_the_widest(self):
        self.assertEqual(
            self.bars(50, 20, 80), {"before": "62.50%", "after": "25.00%"}
        )

    def test_a_thin_one_can_be_seen(self):
        self.assertEqual(self.bars(80, 0.01, 80)["after"], "0.40%")

    def test_nothing_has_no_bar(self):
        self.assertEqual(self.bars(None, 0, 80), {})
        self.assertEqual(self.bars(0, 0, 0), {})

    def test_the_one_before_lies_behind(self):
        self.assertEqual(list(self.bars(50, 20, 80)), ["before", "after"])


class PartsTest(absltest.TestCase):
    def test_markup_of_the_small_ones(self):
        for element, expected in (
            (
                page_parts.folded("more", "a", markup.tag("b", "c")),
                "<details><summary>more</summary>a<b>c</b></details>",
            ),
            (page_parts.note("a", None), '<p class="soft">a</p>'),
            (
                page_parts.grid([markup.tag("svg")]),
                '<div class="panels"><svg></svg></div>',
            ),
        ):
            self.assertIsInstance(element, ElementTree.Element)
            self.assertEqual(markup.text(element), expected)


if __name__ == "__main__":
    absltest.main()
