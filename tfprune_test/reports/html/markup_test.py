import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.reports.html import markup


class MarkupTest(parameterized.TestCase):
    @parameterized.parameters(
        (markup.tag("p"), "<p></p>"),
        (markup.tag("br"), "<br>"),
        (markup.tag("p", "a < b & c"), "<p>a &lt; b &amp; c</p>"),
        (markup.tag("p", "<script>x</script>"),
         "<p>&lt;script&gt;x&lt;/script&gt;</p>"),
        (markup.tag("p", None, "x", [], [None]), "<p>x</p>"),
        (markup.tag("p", 0, "", 1.5), "<p>01.5</p>"),
    )  # fmt: skip
    def test_texts(self, element, expected):
        self.assertEqual(markup.text(element), expected)

    def test_texts_and_elements_in_their_order(self):
        element = markup.tag(
            "p", "a", ["b", markup.tag("b", "c"), "d"], "e", markup.tag("i")
        )
        self.assertEqual(markup.text(element), "<p>ab<b>c</b>de<i></i></p>")

    def test_attributes(self):
        element = markup.tag(
            *("td", "x"),
            **{"class_": 'a"b', "data_column": "<n>", "hidden": True},
            **{"left_out": None, "too": False, "colspan": 2, "empty": ""},
        )
        self.assertEqual(
            markup.text(element),
            '<td class="a&quot;b" data-column="<n&gt;" hidden="" '
            'colspan="2" empty="">x</td>',
        )

    @parameterized.parameters(
        (0.1 + 0.2, "0.3"),
        (100.0, "100"),
        (100, "100"),
        (1200, "1200"),
        (2 / 3, "0.67"),
        (0.0, "0"),
        (-0.001, "0"),
        (-1.5, "-1.5"),
        (np.float32(7.25), "7.25"),
        (np.int64(1200), "1200"),
        ("1.50", "1.50"),
    )
    def test_numbers_without_needless_digits(self, value, expected):
        element = markup.tag("rect", width=value)
        self.assertEqual(
            markup.text(element), f'<rect width="{expected}"></rect>'
        )

    def test_a_page(self):
        page = markup.document(markup.tag("html", "größe \ud800 <"))
        self.assertEqual(
            page.decode(),
            "<!DOCTYPE html>\n<html>größe ? &lt;</html>\n",
        )


if __name__ == "__main__":
    absltest.main()
