"""Results print as tables, the same ones in a notebook."""

import dataclasses

import keras
import numpy as np
from absl.testing import absltest

import tfprune
from tfprune.core import printed
from tfprune.deploy import latency
from tfprune.reports import answers
from tfprune.searches import curves
from tfprune.searches import objective
from tfprune.searches import searching


@dataclasses.dataclass(frozen=True)
class Part:
    size: int
    name: str
    share: float


@dataclasses.dataclass(frozen=True)
class Whole(printed.Printed):
    name: str
    total: int
    missing: object
    parts: tuple


PARTS = (Part(12_345, "a|b", 0.25), Part(6, "<c>", 1.0))


def rows(text):
    """The words of each line, without rules and empty lines."""
    lines = (line.split() for line in text.splitlines())
    return [words for words in lines if words and "─" not in words[0]]


class PrintedTest(absltest.TestCase):
    def test_fields_and_the_records_below_them(self):
        text = str(Whole("net", 1_000, None, PARTS))
        self.assertEqual(
            rows(text),
            [
                ["Whole", "value"],
                ["name", "net"],
                ["total", "1,000"],
                ["missing", "-"],
                ["name", "size", "share"],
                ["a|b", "12,345", "0.25"],
                ["<c>", "6", "1"],
            ],
        )

    def test_a_notebook_shows_the_same_tables(self):
        html = Whole("net", 1_000, None, PARTS)._repr_html_()
        self.assertEqual(html.count("<table>"), 2)
        self.assertIn(">12,345<", html)
        self.assertIn("&lt;c&gt;", html)

    def test_records_are_a_list(self):
        records = printed.Records(PARTS)
        self.assertEqual(records[0], PARTS[0])
        self.assertEqual(rows(str(records))[1], ["a|b", "12,345", "0.25"])
        self.assertEqual(str(printed.Records()), "none\n")


class ResultsTest(absltest.TestCase):
    def test_a_cost(self):
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        self.assertIn(["params", "15"], rows(str(tfprune.cost(model))))

    def test_a_cut_tells_what_stays_of_each_group(self):
        inputs = keras.Input((4,))
        x = keras.layers.Dense(8, name="hidden")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(3)(x), name="net")
        graph = tfprune.channel_graph(model)
        cut = tfprune.selection.choose(graph, ratio=0.25)
        self.assertEqual(
            rows(str(cut)),
            [
                ["net", "channels", "stay", "share"],
                ["hidden", "8", "6", "75.0", "%"],
            ],
        )

    def test_curves(self):
        points = (curves.Point("stem", 0.5, 4, 8, 0.75),)
        found = curves.Sensitivity("net", "accuracy", 0.9, points)
        self.assertEqual(str(found), found.table().to_text())
        self.assertIn("75.00 %", str(found))

    def test_only_an_accuracy_is_in_percent(self):
        points = (curves.Point("stem", 0.5, 4, 8, -0.75),)
        found = curves.Sensitivity("net", "error", -0.5, points)
        self.assertIn("full model: -0.5", str(found))
        self.assertEqual(rows(str(found))[-1], ["stem", "8", "-0.75"])
        trial = objective.Trial(-0.75, -1.75, 1_000, 200, 0.1, (0.5,))
        found = searching.Search(
            "amc", ("a",), -0.5, (trial,), 1, 2, None, "error"
        )
        text = rows(str(found))
        self.assertIn(["error", "of", "the", "best", "trial", "-0.75"], text)

    def test_a_search(self):
        trial = objective.Trial(0.8, -0.2, 1_000, 200, 0.1, (0.5, 1.0))
        found = searching.Search("amc", ("a", "b"), 0.9, (trial,), 1, 2, None)
        text = rows(str(found))
        self.assertIn(["its", "MACs", "1,000"], text)
        self.assertIn(["a", "50.0", "%"], text)
        self.assertIn("80.00 %", found._repr_html_())

    def test_a_latency_table(self):
        times = {"stem": (1.0, 0.5, 0.25, 0.125)}
        found = latency.LatencyTable("int8", 1_234.5, times)
        self.assertIn("1,234.5 microseconds", str(found))
        self.assertIn(["stem", "1", "0.5", "0.25", "0.125"], rows(str(found)))

    def test_confusions(self):
        counts = np.array([[5, 1], [2, 1_000]])
        found = answers.Confusion("logits", ("cat", "dog"), counts, counts)
        self.assertEqual(rows(str(found)).count(["dog", "2", "1,000"]), 2)

    def test_errors(self):
        found = answers.Errors("depth", np.array([3.0, -4.0]), np.zeros(2))
        text = rows(str(found))
        self.assertIn(["mean", "absolute", "error", "3.5", "0"], text)
        self.assertIn(["mean", "error", "-0.5", "0"], text)
        root = ["root", "mean", "squared", "error", "3.536", "0"]
        self.assertIn(root, text)


if __name__ == "__main__":
    absltest.main()
