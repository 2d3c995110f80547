import json

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.reports import profiles


def layer(name, **changes):
    facts = {
        "op": "Dense",
        "output_shape": (4,),
        "params": 20,
        "macs": 16,
        "weight_bytes": 80,
        "peak_bytes": 32,
    }
    return profiles.LayerProfile(name, **facts | changes)


class LineTest(parameterized.TestCase):
    @parameterized.parameters(
        ("macs", 200, 50, 0.25, "25.0 %"),
        # Fractions differ by points, scores by their ratio.
        ("accuracy", 0.9, 0.875, 0.875 / 0.9, "-2.50 points"),
        ("macs", 0, 50, None, "-"),
        ("macs", 200, None, None, "-"),
        ("macs", None, 50, None, "-"),
    )
    def test_what_is_left(self, name, before, after, ratio, text):
        line = profiles.Line(name, before, after)
        self.assertEqual(line.ratio, ratio)
        self.assertEqual(line.left, text)


class LayerChangeTest(absltest.TestCase):
    def test_lines_of_a_layer(self):
        change = profiles.LayerChange("a", layer("a"), layer("a", macs=4))
        line = change.line("macs")
        self.assertEqual((line.before, line.after, line.ratio), (16, 4, 0.25))

    def test_a_layer_that_is_gone(self):
        line = profiles.LayerChange("a", layer("a"), None).line("params")
        self.assertEqual((line.before, line.after), (20, None))


class Small(profiles.Report):
    def __init__(self, unknown):
        self.unknown = unknown

    def tables(self):
        return [profiles.tables.Table(("a", "b"), (("x", "1"),))]

    def to_dict(self):
        return {"unknown": self.unknown}

    def page(self):
        raise NotImplementedError


class ReportTest(absltest.TestCase):
    def test_layers_without_a_rule_are_named(self):
        text = Small({"net/odd": "Odd"}).to_text()
        self.assertIn("not counted: net/odd (Odd).", text)
        self.assertNotIn("not counted", Small({}).to_markdown())

    def test_json_ends_in_a_newline(self):
        text = Small({}).to_json()
        self.assertEqual(json.loads(text), {"unknown": {}})
        self.assertTrue(text.endswith("}\n"))


class SideBySideTest(absltest.TestCase):
    def test_a_quantity_that_one_model_lacks(self):
        table = profiles.side_by_side(
            {"dense": {"macs": 2000}, "small": {"macs": 500, "accuracy": 0.5}}
        )
        self.assertEqual(table.header, ("", "dense", "small"))
        (_, *macs), (_, *accuracy) = table.rows
        self.assertEqual(macs, ["2,000", "500"])
        self.assertEqual(accuracy, ["-", "50.00 %"])


if __name__ == "__main__":
    absltest.main()
