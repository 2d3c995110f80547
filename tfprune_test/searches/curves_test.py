"""Each group pruned alone."""

import contextlib
import dataclasses
import io
import json
import pathlib
from unittest import mock

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph import values
from tfprune.plots import curve_plots
from tfprune.searches import curves
from tfprune.selection import cut as cut_lib
from tfprune.surgery import pruning
from tfprune_test import small_nets

layers = keras.layers
TRACES = []


class Counting(layers.Layer):
    """Counts how often it is called from Python."""

    def call(self, inputs):
        TRACES.append(inputs.shape)
        return inputs


def labelled(model, count=300):
    """Images with the labels that the model itself gives them."""
    x, _ = small_nets.samples(count)
    return x, values.numpy(model(x)).argmax(-1)


def hand_made():
    """Two groups, three curves' worth of numbers."""
    points = [
        curves.Point("a", 0.25, 3, 4, 0.89),
        curves.Point("a", 0.5, 2, 4, 0.5),
        curves.Point("a", 0.75, 1, 4, 0.9),
        curves.Point("b", 0.25, 6, 8, 0.9),
        curves.Point("b", 0.5, 4, 8, 0.88),
        curves.Point("b", 0.75, 2, 8, 0.4),
        curves.Point("c", 0.25, 6, 8, 0.1),
        curves.Point("c", 0.5, 4, 8, 0.1),
        curves.Point("c", 0.75, 2, 8, 0.1),
    ]
    return curves.Sensitivity("net", "accuracy", 0.9, tuple(points))


def attention():
    inputs = keras.Input((3, 8))
    x = layers.MultiHeadAttention(4, 4, name="mha")(inputs, inputs)
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dense(3, activation="softmax")(x)
    return keras.Model(inputs, x)


class SensitivityTest(parameterized.TestCase):
    def test_points_are_those_of_really_pruned_models(self):
        model = small_nets.mixed()
        data = labelled(model)
        found = curves.sensitivity(
            model, data, ratios=(0.5, 0.25), progress=False
        )
        self.assertEqual(found.dense, 1.0)
        self.assertEqual(
            [(p.group, p.ratio, p.kept, p.channels) for p in found.points[:4]],
            [
                ("stem", 0.25, 4, 6),
                ("stem", 0.5, 3, 6),
                ("inner", 0.25, 6, 8),
                ("inner", 0.5, 4, 8),
            ],
        )
        self.assertLen(found.points, 8)
        for point in found.points:
            small = pruning.prune(model, {point.group: point.ratio})
            hits = values.numpy(small(data[0])).argmax(-1) == data[1]
            self.assertAlmostEqual(point.value, hits.mean(), delta=0.004)

    def test_no_point_is_traced_anew(self):
        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(6, 3, name="a")(inputs)
        x = Counting()(layers.Conv2D(6, 3, name="b")(x))
        model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
        data = small_nets.samples(32)
        counts = []
        for ratios in ((0.5,), np.linspace(0.1, 0.9, 9)):
            TRACES.clear()
            curves.sensitivity(model, data, ratios, progress=False)
            counts.append(len(TRACES))
        self.assertEqual(*counts)

    def test_a_metric_of_ones_own_and_some_groups(self):
        model = small_nets.mixed()

        def negative_error(y, outputs):
            return -np.square(outputs - y).mean(-1)

        x, _ = small_nets.samples(40)
        found = curves.sensitivity(
            model,
            (x, values.numpy(model(x))),
            (0.5,),
            metric=negative_error,
            groups=("in*", "hidden"),
            progress=False,
        )
        self.assertEqual(found.metric, "negative_error")
        self.assertEqual([p.group for p in found.points], ["inner", "hidden"])
        self.assertAlmostEqual(found.dense, 0.0, places=6)
        self.assertLess(max(p.value for p in found.points), 0.0)

    def test_none_stands_for_all_groups(self):
        model = small_nets.mixed()
        data = labelled(model, 20)
        found = [
            curves.sensitivity(
                model, data, ratios=(0.5,), groups=groups, progress=False
            )
            for groups in (None, ("*",))
        ]
        self.assertEqual(*found)

    def test_criteria_that_need_data_look_at_the_same_ones(self):
        model = small_nets.mixed()
        found = curves.sensitivity(
            model,
            labelled(model, 64),
            (0.5,),
            criterion="taylor",
            groups="inner",
            limit=32,
            progress=False,
        )
        self.assertLen(found.points, 1)

    def test_channels_without_a_score_stay_as_in_a_pruned_model(self):
        inputs = keras.Input((6, 6, 2))
        x = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
        x = layers.Dense(4, activation="relu", name="inner")(
            layers.Flatten()(x)
        )
        model = keras.Model(inputs, layers.Dense(3)(x))
        x = np.random.default_rng(0).normal(size=(8, 6, 6, 2))
        data = x.astype("float32"), np.arange(8) % 3
        found = curves.sensitivity(
            model,
            data,
            (0.5,),
            criterion="hrank",
            metric=lambda y, outputs: outputs[:, 0],
            progress=False,
        )
        self.assertEqual(
            {point.group: point.kept for point in found.points},
            {"conv": 2, "inner": 4},
        )
        self.assertEqual(found.curves()["inner"][0].value, found.dense)

    def test_the_model_does_not_change(self):
        model = small_nets.mixed()
        before = model.get_weights()
        curves.sensitivity(model, labelled(model, 32), (0.9,), progress=False)
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_the_largest_ratios_within_a_drop_are_a_budget(self):
        self.assertEqual(hand_made().ratios(0.02), {"a": 0.25, "b": 0.5})
        self.assertEqual(hand_made().ratios(0.6), {"a": 0.75, "b": 0.75})
        points = [curves.Point("a", 0.25, 3, 4, float("nan"))]
        unknown = curves.Sensitivity("net", "accuracy", 0.9, tuple(points))
        self.assertEmpty(unknown.ratios(0.6))
        model = small_nets.mixed()
        found = curves.sensitivity(
            model, labelled(model, 64), (0.25, 0.5), progress=False
        )
        ratios = found.ratios(1.0)
        keep = cut_lib.choose(read.channel_graph(model), ratios).keep
        self.assertEqual(int((~keep).sum()), 3 + 4 + 3 + 4)

    def test_groups_of_one_layer_have_ratios_of_their_own(self):
        model = attention()
        data = np.ones((4, 3, 8)), np.zeros(4, int)
        found = curves.sensitivity(model, data, (0.25, 0.5), progress=False)
        graph = read.channel_graph(model)
        free = [g for g in graph.groups if not g.frozen]
        names = ["mha", "mha#2", "mha#3"]
        self.assertEqual([g.name for g in free], names)
        self.assertEqual(list(found.curves()), names)
        keep = cut_lib.choose(graph, found.ratios(1.0)).keep
        left = [int(keep[g.labels].sum()) for g in free]
        self.assertEqual(left, [len(g) // 2 for g in free])
        # Only the first group can go: the others stay whole.
        points = tuple(
            dataclasses.replace(p, value=found.dense - (p.group != "mha"))
            for p in found.points
        )
        found = dataclasses.replace(found, points=points)
        keep = cut_lib.choose(graph, found.ratios(0.1)).keep
        left = [int(keep[g.labels].sum()) for g in free]
        self.assertEqual(left, [len(free[0]) // 2, *map(len, free[1:])])

    def test_a_table_has_a_row_for_each_group(self):
        table = hand_made().table()
        self.assertEqual(
            table.header, ("group", "channels", "-25%", "-50%", "-75%")
        )
        self.assertEqual(
            table.rows[1], ("b", "8", "90.00 %", "88.00 %", "40.00 %")
        )
        self.assertIn("full model: 90.00 %", table.title)

    def test_ratios_are_not_rounded_in_a_table(self):
        points = (
            curves.Point("a", ratio, 7, 8, 0.5) for ratio in (0.12, 0.125)
        )
        found = curves.Sensitivity("net", "accuracy", 0.9, tuple(points))
        self.assertEqual(found.table().header[2:], ("-12%", "-12.5%"))

    def test_a_file_gives_the_same_curves(self):
        path = pathlib.Path(self.create_tempdir().full_path, "curves.json")
        hand_made().save(path)
        self.assertEqual(curves.load(path), hand_made())
        self.assertEqual(json.loads(path.read_text())["dense"], 0.9)

    def test_what_is_no_number_is_null_in_the_file(self):
        path = pathlib.Path(self.create_tempdir().full_path, "curves.json")
        lost = dataclasses.replace(hand_made(), dense=np.nan)
        lost.save(path)
        self.assertIn('"dense": null', path.read_text())
        self.assertTrue(np.isnan(curves.load(path).dense))
        self.assertEqual(curves.load(path).points, lost.points)

    @parameterized.parameters("png", "svg")
    def test_a_picture_is_written(self, ending):
        path = pathlib.Path(self.create_tempdir().full_path, f"a.{ending}")
        curve_plots.sensitivity_plot(hand_made(), path)
        self.assertGreater(path.stat().st_size, 5000)
        with self.assertRaisesRegex(ValueError, "must end in one of"):
            curve_plots.sensitivity_plot(hand_made(), path.with_suffix(".txt"))

    def test_what_cannot_be_measured_is_an_error(self):
        model = small_nets.mixed()
        data = labelled(model, 8)
        with self.assertRaisesRegex(ValueError, r"floats in \[0, 1\)"):
            curves.sensitivity(model, data, (0.5, 1.0))
        with self.assertRaisesRegex(ValueError, "a list.*ratios=0.5"):
            curves.sensitivity(model, data, 0.5)
        with self.assertRaisesRegex(ValueError, "match none of"):
            curves.sensitivity(model, data, groups=("nothing",))
        with self.assertRaisesRegex(ValueError, "of which ..nothing.. match"):
            curves.sensitivity(model, data, groups=("stem", "nothing"))
        with self.assertRaisesRegex(ValueError, "several times"):
            curves.sensitivity(model, iter([data]))
        with self.assertRaisesRegex(ValueError, "Labels are needed"):
            curves.sensitivity(model, data[0], progress=False)

    @parameterized.parameters(({"FORCE_COLOR": "1"}, "2/2"), ({}, ""))
    def test_a_progress_bar_is_shown_on_a_terminal(self, environment, expected):
        model = small_nets.mixed()
        data = labelled(model, 8)
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict("os.environ", environment),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            curves.sensitivity(model, data, (0.5,), groups="inner")
        self.assertEqual(out.getvalue(), "")
        self.assertIn(expected, err.getvalue())
        self.assertEqual(bool(expected), bool(err.getvalue()))
