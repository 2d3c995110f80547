import keras
import numpy as np
from absl.testing import absltest

from tfprune.graph import read
from tfprune_test import graphs

LAYERS = keras.layers


def residual():
    inputs = keras.Input((8, 8, 3), name="image")
    x = LAYERS.Conv2D(4, 3, padding="same", name="stem")(inputs)
    y = LAYERS.Conv2D(6, 3, padding="same", name="inner")(x)
    y = LAYERS.Conv2D(4, 3, padding="same", name="outer")(y)
    x = LAYERS.GlobalAveragePooling2D()(LAYERS.Add()([x, y]))
    return keras.Model(inputs, LAYERS.Dense(2, name="logits")(x))


class GroupsTest(absltest.TestCase):
    def test_channels_that_go_together_are_a_group(self):
        graph = read.channel_graph(residual())
        found = [
            (g.name, len(g), g.writers, g.readers)
            for g in graph.groups
            if not g.frozen
        ]
        self.assertEqual(
            found,
            [
                ("stem", 4, ("stem", "outer"), ("inner", "logits")),
                ("inner", 6, ("inner",), ("outer",)),
            ],
        )

    def test_every_channel_is_in_one_group(self):
        graph = read.channel_graph(residual())
        labels = np.concatenate([g.labels for g in graph.groups])
        self.assertEqual(sorted(labels), list(range(graph.size)))

    def test_channels_that_stay_say_why(self):
        graph = read.channel_graph(residual())
        reasons = {g.frozen for g in graph.groups} - {None}
        self.assertIn(("the model", "its output"), reasons)
        self.assertLen(reasons, 2)

    def test_parts_that_are_read_by_others_are_groups_of_their_own(self):
        sketch = graphs.Sketch(2)
        a = sketch.dense("a", sketch.input, 5)
        part = sketch.step("slice", "GetItem", (a,), a.labels[0, 0, :2])
        b = sketch.dense("b", part, 3)
        graph = sketch.done(b, sketch.dense("c", a, 1))
        found = [(len(g), g.readers) for g in graph.groups if not g.frozen]
        self.assertEqual(found, [(2, ("b", "c")), (3, ("c",))])

    def test_it_prints_as_a_table(self):
        graph = read.channel_graph(residual())
        (table,) = graph.tables()
        self.assertEqual(table.title, "10 of 15 channels are removable.")
        self.assertIn(("stem", "inner, logits", "", "4"), table.rows)
        self.assertIn(("inner", "outer", "", "6"), table.rows)
        self.assertIn("its output, by the model", [r[2] for r in table.rows])
        self.assertStartsWith(str(graph), table.title)
        self.assertIn("<td", graph._repr_html_())


class RecordsTest(absltest.TestCase):
    def test_a_variable_knows_its_bindings(self):
        model = residual()
        graph = read.channel_graph(model)
        kernel = model.get_layer("inner").kernel
        found = {(b.axis, b.role) for b in graph.bound(kernel)}
        self.assertEqual(found, {(2, "reads"), (3, "writes")})
        self.assertEmpty(graph.bound(object()))

    def test_channels_are_numbered_without_gaps(self):
        graph = read.channel_graph(residual())
        self.assertEqual(graph.size, 3 + 4 + 6 + 2)
        seen = np.concatenate([b.labels for b in graph.bindings])
        self.assertEqual(set(seen), set(range(graph.size)))
        self.assertEqual(int(graph.removable.sum()), 10)

    def test_of_each_axis_one_channel_stays(self):
        sketch = graphs.Sketch(2)
        a = sketch.dense("a", sketch.input, 4)
        part = sketch.step("slice", "GetItem", (a,), a.labels[0, 0, 3:])
        graph = sketch.done(sketch.dense("b", part, 1))
        self.assertIn([5], [axis.tolist() for axis in graph.axes])


if __name__ == "__main__":
    absltest.main()
