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

    @parameterized.parameters("[bold]x[/bold]", "[red]", "x" * 300, "größe")
    def test_a_name_is_written_as_it_is(self, name):
        table = tables.Table(("layer",), ((name,),))
        self.assertIn(name, table.to_text())
        self.assertIn(name, table.to_markdown())

    def test_a_header_is_written_as_it_is(self):
        self.assertIn("[red]", tables.Table(("[red]",), (("a",),)).to_text())


class CellTest(parameterized.TestCase):
    @parameterized.parameters((0, "0"), (1234567, "1,234,567"), (None, "-"))
    def test_number(self, value, text):
        self.assertEqual(tables.number(value), text)

    @parameterized.parameters((0.25, "25.0 %"), (1.0, "100.0 %"), (None, "-"))
    def test_percent(self, value, text):
        self.assertEqual(tables.percent(value), text)

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
