"""Reports: numbers by visible arithmetic, models that differ in layers."""

import json

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs import counting
from tfprune.graph import read
from tfprune.reports import comparison
from tfprune.reports import profiles
from tfprune.reports.html import provenance
from tfprune.selection import budget as budget_lib
from tfprune.selection import cut as cut_lib
from tfprune.selection import peak_cut
from tfprune.surgery import pruning


def net(filters=4, name="net"):
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(filters, 3, padding="same", name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(name="relu"),
            keras.layers.GlobalAveragePooling2D(name="pool"),
            keras.layers.Dense(10, name="logits"),
        ],
        name=name,
    )


def residual():
    """While `stem` runs, its output lies above a gap for two others."""
    inputs = keras.Input((8, 8, 1))
    stem, one, two = (
        keras.layers.Conv2D(8, 3, padding="same", name=name)
        for name in ("stem", "one", "two")
    )
    x = stem(inputs)
    outputs = keras.layers.Add()([x, two(one(x))])
    return keras.Model(inputs, outputs)


class Mystery(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(initializer="ones")

    def call(self, x):
        return x[..., ::-1] * self.factor

    def compute_output_shape(self, shape):
        return shape


class ProfileTest(parameterized.TestCase):
    def test_totals_are_those_of_the_arithmetic(self):
        total = comparison.profile(net()).total
        params = (3 * 3 * 3 * 4 + 4) + 4 * 4 + (4 * 10 + 10)
        self.assertEqual(total.params, params)
        self.assertEqual(total.macs, 8 * 8 * 3 * 3 * 3 * 4 + 4 * 10)
        self.assertEqual(total.channels, 4)
        self.assertEqual(total.weight_bytes, 4 * params)
        self.assertEqual(total.peak_bytes, 4 * 8 * 8 * (3 + 4))

    def test_the_peak_is_where_most_is_alive(self):
        found = comparison.profile(residual())
        self.assertEqual(found.running, "two")
        names = [layer for layer, _ in found.at_peak]
        self.assertEqual(names, ["stem", "one", "two", "the kernel of two"])
        page = found.to_html()
        self.assertIn("alive at the peak, while two runs", page)
        self.assertIn("bytes, while two runs.", page)
        graph = read.channel_graph(residual())
        usage = counting.Meter(graph).over_time("ram_bytes")
        told = peak_cut.describe(usage, np.ones(graph.size, bool), graph)
        self.assertIn("while 'two' runs", told)

    def test_both_micronet_scores_are_reported(self):
        found = comparison.profile(net())
        # Kernels and scales; biases and shifts are zeros yet, and moving
        # statistics are no weights.
        stored = 3 * 3 * 3 * 4 + 4 + 4 * 10
        macs = 8 * 8 * 3 * 3 * 3 * 4 + 4 * 10
        score = stored / 5_586_981 + 2 * macs / 834_362_880
        self.assertAlmostEqual(found.totals["score_2019"], score)
        score = stored / 5.6e6 + macs / 2.8e8
        self.assertAlmostEqual(found.totals["score_2025"], score)
        line = f"| MicroNet score (2025) | {score:.4f} |"
        self.assertIn(line, found.to_markdown())

    def test_layers_are_those_of_the_arithmetic(self):
        rows = {row.layer: row for row in comparison.profile(net()).layers}
        self.assertEqual(list(rows), ["conv", "norm", "relu", "pool", "logits"])
        conv, pool = rows["conv"], rows["pool"]
        self.assertEqual(conv.op, "Conv2D")
        self.assertEqual(conv.output_shape, (8, 8, 4))
        self.assertEqual(conv.weight_bytes, 4 * (3 * 3 * 3 * 4 + 4))
        self.assertEqual(conv.peak_bytes, 4 * 8 * 8 * (3 + 4))
        self.assertEqual(pool.params, 0)
        self.assertEqual(pool.peak_bytes, 4 * (8 * 8 * 4 + 4))

    def test_layers_add_up_to_the_total(self):
        model = keras.applications.MobileNetV2(
            weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=7
        )
        found = comparison.profile(model)
        self.assertEqual(
            sum(row.params for row in found.layers), model.count_params()
        )
        for quantity in ("params", "macs", "weight_bytes"):
            self.assertEqual(
                sum(getattr(row, quantity) for row in found.layers),
                getattr(found.total, quantity),
            )
        self.assertEqual(
            max(row.peak_bytes for row in found.layers), found.total.peak_bytes
        )

    def test_weights_in_half_precision_take_half_the_bytes(self):
        inputs = keras.Input((5,), dtype="float16")
        layer = keras.layers.Dense(3, dtype="float16")
        found = comparison.profile(keras.Model(inputs, layer(inputs)))
        self.assertEqual(found.layers[0].weight_bytes, 2 * (5 * 3 + 3))
        self.assertEqual(found.total.weight_bytes, 2 * (5 * 3 + 3))

    def test_json_holds_every_layer(self):
        found = json.loads(comparison.profile(net()).to_json())
        self.assertEqual(found["totals"]["macs"], 6952)
        self.assertEqual(found["layers"][2]["layer"], "relu")
        self.assertNotIn("accuracy", found["totals"])

    def test_text_and_markdown_list_layers_that_weigh(self):
        found = comparison.profile(net())
        for text in (found.to_text(), found.to_markdown()):
            self.assertIn("6,952", text)
            self.assertIn("logits", text)
            self.assertNotIn("relu", text)

    def test_layers_without_a_rule_are_named(self):
        inputs = keras.Input((4,))
        x = Mystery(name="odd")(keras.layers.Dense(3)(inputs))
        found = comparison.profile(keras.Model(inputs, x))
        self.assertEqual(found.unknown, {"odd": "Mystery"})
        self.assertIn("rule are not counted: odd (Mystery)", found.to_text())
        self.assertIn("odd (Mystery)", found.to_markdown())

    def test_open_sizes_must_be_given(self):
        inputs = keras.Input((None, None, 3))
        model = keras.Model(inputs, keras.layers.Conv2D(4, 1)(inputs))
        with self.assertRaisesRegex(ValueError, r"\(None, None, 3\).*Pass inp"):
            comparison.profile(model)
        macs = comparison.profile(model, input_shape=(5, 7, 3)).total.macs
        self.assertEqual(macs, 5 * 7 * 3 * 4)

    def test_the_accuracy_is_measured(self):
        x = np.random.default_rng(0).normal(size=(20, 8, 8, 3))
        model = net()
        y = model.predict(x, verbose=0).argmax(-1)
        y[:5] += 1
        found = comparison.profile(model, data=(x, y))
        self.assertEqual(found.accuracy, 0.75)
        self.assertIn("75.00 %", found.to_text())


class CompareTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.dense = net(8)
        self.small = pruning.prune(self.dense, budget_lib.Budget(channels=2))
        self.report = comparison.compare(self.dense, self.small)

    def test_after_is_what_the_budget_was_met_with(self):
        graph = read.channel_graph(self.dense)
        keep = cut_lib.choose(graph, budget_lib.Budget(channels=2)).keep
        self.assertEqual(
            self.report.after.total, counting.Meter(graph).cost(keep)
        )
        line = self.report.totals["channels"]
        self.assertEqual((line.before, line.after, line.ratio), (8, 2, 0.25))

    def test_scores_are_ratios_and_not_points(self):
        line = self.report.totals["score_2019"]
        self.assertLess(line.after, line.before)
        self.assertEqual(line.left, f"{100 * line.ratio:.1f} %")
        text = f"{line.before:.4f} +{line.after:.4f} +{line.left}"
        self.assertRegex(self.report.to_text(), text)

    def test_layers_stand_side_by_side(self):
        change = self.report.layers[0]
        self.assertEqual(change.layer, "conv")
        line = change.line("macs")
        self.assertEqual(line.before, 8 * 8 * 27 * 8)
        self.assertEqual(line.after, 8 * 8 * 27 * 2)
        self.assertIn("8x8x8 -> 8x8x2", self.report.to_text())
        self.assertIn("13,824 -> 3,456", self.report.to_markdown())

    def test_a_layer_of_one_model_alone_is_listed(self):
        other = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                keras.layers.Conv2D(4, 3, padding="same", name="conv"),
                keras.layers.Flatten(name="flat"),
                keras.layers.Dense(10, name="head"),
            ]
        )
        for pair in ((self.dense, other), (other, self.dense)):
            found = comparison.compare(*pair)
            rows = {change.layer: change for change in found.layers}
            ours, theirs = rows["logits"], rows["head"]
            if pair[0] is other:
                ours, theirs = theirs, ours
            self.assertIsNone(ours.after)
            self.assertIsNone(theirs.before)
            self.assertIsNone(ours.line("params").after)
            self.assertIn("head", found.to_text())
            self.assertIn("- ->", found.to_markdown())
            lost = json.loads(found.to_json())["layers"]
            self.assertIn("head", [row["layer"] for row in lost])

    def test_further_lines_are_written_everywhere(self):
        found = self.report.with_line("TFLite bytes", 40_000, 10_000)
        found = found.with_line("arena bytes", None, 5_000)
        text = found.to_text()
        self.assertRegex(text, r"TFLite bytes +40,000 +10,000 +25.0 %")
        self.assertIn("| arena bytes | - | 5,000 | - |", found.to_markdown())
        totals = json.loads(found.to_json())["totals"]
        self.assertEqual(totals["TFLite bytes"]["ratio"], 0.25)
        self.assertIsNone(totals["arena bytes"]["before"])
        self.assertNotIn("arena bytes", self.report.totals)

    def test_further_lines_may_be_numbers_of_numpy_and_errors(self):
        found = self.report.with_line("arena", np.int64(40), np.int32(10))
        found = found.with_line("top 5", np.float32(0.5), np.float32(0.25))
        found = found.with_line("mean absolute error, size", 1.5, 1.25)
        text = found.to_text()
        self.assertRegex(text, r"top 5 +50.00 % +25.00 % +-25.00 points")
        self.assertRegex(text, r"mean absolute error, size +1.5 +1.25 +83.3 %")
        totals = json.loads(found.to_json())["totals"]
        self.assertEqual(totals["arena"]["after"], 10)
        units = {q.name: q.unit for q in found.page().measured}
        self.assertEqual(
            units, {"arena": "", "top 5": "%", "mean absolute error, size": ""}
        )

    def test_the_accuracy_of_both_is_measured(self):
        x = np.random.default_rng(0).normal(size=(20, 8, 8, 3))
        y = self.small.predict(x, verbose=0).argmax(-1)
        found = comparison.compare(self.dense, self.small, data=(x, y))
        self.assertEqual(found.after.accuracy, 1.0)
        self.assertLess(found.before.accuracy, 1.0)
        points = 100 * (1 - found.before.accuracy)
        self.assertIn(f"+{points:.2f} points", found.to_text())

    def test_the_error_of_numbers_is_measured(self):
        x = np.random.default_rng(0).normal(size=(20, 8, 8, 3))
        y = self.dense.predict(x, verbose=0) + 0.25
        found = comparison.compare(self.dense, self.small, data=(x, y))
        line = found.totals["mean absolute error"]
        self.assertAlmostEqual(line.before, 0.25, places=5)
        self.assertIsNone(found.after.accuracy)
        ratio = f"{100 * line.after / line.before:.1f} %"
        self.assertRegex(
            found.to_text(), rf"mean absolute error +0.25 +\S+ +{ratio}"
        )
        self.assertIn("mean absolute error", found.to_html())

    def test_a_report_prints_as_its_text(self):
        self.assertEqual(str(self.report), self.report.to_text())
        self.assertEqual(f"{self.report.before}", self.report.before.to_text())

    def test_a_report_cannot_be_changed(self):
        with self.assertRaises(AttributeError):
            self.report.extra = ()

    def test_what_is_no_model_is_refused(self):
        with self.assertRaisesRegex(TypeError, "keras.Model is required"):
            comparison.compare(self.dense, "small.keras")


class EnvironmentTest(absltest.TestCase):
    def test_versions_are_those_of_the_packages(self):
        found = provenance.environment()
        self.assertEqual(found["versions"]["keras"], keras.__version__)
        self.assertEqual(found["versions"]["numpy"], np.__version__)
        self.assertTrue(
            {"tensorflow", "tensorflow-cpu", "jax"} & set(found["versions"])
        )
        self.assertRegex(found["machine"], r"^\w+ \w+, \d+ cores$")


class SideBySideTest(absltest.TestCase):
    def test_each_model_has_a_column(self):
        table = profiles.side_by_side(
            {
                "dense": {"accuracy": 0.5, "macs": 2000},
                "int8": {"accuracy": 0.25, "int8_arena_bytes": 7},
            }
        )
        self.assertEqual(table.header, ("", "dense", "int8"))
        self.assertEqual(
            table.rows,
            (
                ("accuracy", "50.00 %", "25.00 %"),
                ("MACs", "2,000", "-"),
                ("int8 arena bytes, measured", "-", "7"),
            ),
        )


if __name__ == "__main__":
    absltest.main()
