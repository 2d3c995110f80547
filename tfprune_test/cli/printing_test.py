import json
import os
import types
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.cli import printing
from tfprune.core import tables

FIRST = tables.Table(("layer", "MACs"), (("a", "9"),), "totals")
SECOND = tables.Table(("layer", "MACs"), (("b", "7"),), "layers")


class Report:
    def __init__(self, unknown=()):
        self._unknown = dict(unknown)

    def tables(self):
        return [FIRST, SECOND]

    def to_dict(self):
        return {"unknown": self._unknown}

    def to_json(self):
        return "{}\n"


def values(form="text", layers=False):
    return types.SimpleNamespace(format=form, layers=layers)


class PrintingTest(parameterized.TestCase):
    def test_the_layers_come_when_they_are_asked_for(self):
        short = printing.report(Report(), values())
        self.assertIn("totals", short)
        self.assertNotIn("layers", short)
        long = printing.report(Report(), values(layers=True))
        self.assertLess(long.index("totals"), long.index("layers"))

    def test_markdown_and_json(self):
        self.assertEqual(
            printing.report(Report(), values("markdown", layers=True)),
            FIRST.to_markdown() + "\n" + SECOND.to_markdown(),
        )
        self.assertEqual(printing.report(Report(), values("json")), "{}\n")

    def test_what_was_not_counted_is_said(self):
        report = Report({"a/b": "Odd", "c": "Strange"})
        self.assertTrue(
            printing.report(report, values()).endswith(
                "\nMultiply-adds of layers without a rule are not counted: "
                "a/b (Odd), c (Strange).\n"
            )
        )
        self.assertEqual(printing.unknown(Report()), "")

    @parameterized.parameters("40", "200")
    def test_tables_are_as_wide_as_the_terminal_says(self, columns):
        wide = tables.Table(("layer",), (("word " * 30,),))
        with mock.patch.dict(os.environ, {"COLUMNS": columns}):
            lines = printing.shown([wide], values()).splitlines()
        self.assertLessEqual(max(map(len, lines)), int(columns))
        self.assertEqual(len(lines) > 3, columns == "40")

    def test_without_a_terminal_nothing_is_broken(self):
        wide = tables.Table(("layer",), (("word " * 99,),))
        found = {**os.environ}
        found.pop("COLUMNS", None)
        with mock.patch.dict(os.environ, found, clear=True):
            with mock.patch.object(printing.sys, "stdout") as stdout:
                stdout.isatty.return_value = False
                text = printing.shown([wide], values())
        self.assertIn(("word " * 99).strip(), text)

    def test_json_can_be_read(self):
        facts = {"größe": [1, None, 0.5]}
        text = printing.as_json(facts)
        self.assertEqual(json.loads(text), facts)
        self.assertTrue(text.endswith("\n"))


if __name__ == "__main__":
    absltest.main()
