"""Tables: what stands in a cell is what is written."""

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.core import tables


class TableTest(parameterized.TestCase):
    def test_words_are_aligned_left_and_numbers_right(self):
        table = tables.Table(
            ("layer", "MACs"), (("conv", "9,216"), ("logits", "1")), "net"
        )
        lines = table.to_text().splitlines()
        self.assertEqual(lines[0], "net")
        self.assertRegex(lines[1], r"^layer +MACs$")
        self.assertRegex(lines[3], r"^conv +9,216$")
        self.assertRegex(lines[4], r"^logits +1$")
        self.assertLen({len(line) for line in lines[3:]}, 1)

    def test_markdown_is_written_as_such(self):
        table = tables.Table(("layer", "MACs"), (("a|b", "1"),), "net")
        self.assertEqual(
            table.to_markdown(),
            "net\n\n| layer | MACs |\n| :-- | --: |\n| a\\|b | 1 |\n",
        )

    @parameterized.parameters(
        *("[bold]x[/bold]", "[red]", "x" * 300, "größe", "cell:on:0", "a\\")
    )
    def test_a_name_is_written_as_it_is(self, name):
        table = tables.Table(("layer",), ((name,),))
        self.assertEqual(table.to_text().splitlines()[-1], name)
        self.assertIn(name, table.to_markdown())

    def test_a_header_is_written_as_it_is(self):
        self.assertIn("[red]", tables.Table(("[red]",), (("a",),)).to_text())


class WidthTest(parameterized.TestCase):
    TABLE = tables.Table(
        ("layer", "output", "parameters", "weight bytes", "MACs"),
        (
            ("stage1_block0_conv1", "32x32x16", "2,304", "9,216", "2,359,296"),
            ("logits", "10", "650", "2,600", "640"),
        ),
        "net",
        left=2,
    )

    @parameterized.parameters(30, 40, 50, 60, 70, 80, 120)
    def test_it_fits_and_numbers_are_whole(self, width):
        text = self.TABLE.to_text(width)
        self.assertLessEqual(max(map(len, text.splitlines())), width)
        words = text.split()
        for row in self.TABLE.rows:
            for number in row[2:]:
                self.assertIn(number, words)
        self.assertEqual(words.count("net"), 1)

    def test_a_wide_terminal_changes_nothing(self):
        self.assertEqual(self.TABLE.to_text(500), self.TABLE.to_text())

    @parameterized.parameters(None, 200, 50)
    def test_a_list_of_names_has_several_lines(self, width):
        names = ", ".join(["AddDequantize", "AddFullyConnected"] * 6)
        rows = (("flash bytes", "4,816"), ("methods", names))
        text = tables.Table(("part", "value"), rows).to_text(width)
        self.assertLessEqual(max(map(len, text.splitlines())), width or 80)
        self.assertEqual(text.count("AddFullyConnected"), 6)
        self.assertIn("flash bytes", text)

    def test_what_cannot_be_narrower_is_not_cut(self):
        self.assertIn("2,359,296", self.TABLE.to_text(5).split())


class NotebookTest(absltest.TestCase):
    def test_cells_are_text(self):
        table = tables.Table(("a<b", "n"), (("<script>", "1"),), "x & y")
        html = table._repr_html_()
        self.assertIn("&lt;script&gt;", html)
        self.assertIn("<caption>x &amp; y</caption>", html)
        self.assertIn('<td style="text-align:right">1</td>', html)

    def test_print_shows_the_table(self):
        table = tables.Table(("a", "n"), (("b", "1"),))
        self.assertEqual(str(table), table.to_text())


class CellTest(parameterized.TestCase):
    @parameterized.parameters((0, "0"), (1234567, "1,234,567"), (None, "-"))
    def test_number(self, value, text):
        self.assertEqual(tables.number(value), text)

    @parameterized.parameters((0.25, "25.0 %"), (1.0, "100.0 %"), (None, "-"))
    def test_percent(self, value, text):
        self.assertEqual(tables.percent(value), text)

    @parameterized.parameters(
        (0.25, "25%"), (0.125, "12.5%"), (0.3, "30%"), (0.0, "0%")
    )
    def test_ratio(self, value, text):
        self.assertEqual(tables.ratio(value), text)

    @parameterized.parameters(
        ((8, 8, 3), "8x8x3"), ((None, 3), "?x3"), ((), "scalar")
    )
    def test_shape(self, value, text):
        self.assertEqual(tables.shape(value), text)

    @parameterized.parameters(("1", "1", "1"), ("2", "1", "2 -> 1"))
    def test_change(self, before, after, text):
        self.assertEqual(tables.change(before, after), text)


if __name__ == "__main__":
    absltest.main()
