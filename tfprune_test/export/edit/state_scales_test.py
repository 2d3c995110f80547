import pytest
from absl.testing import absltest

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from ai_edge_litert import schema_py_generated as schema

from tfprune.export.edit import graph_edits
from tfprune.export.edit import state_scales
from tfprune.export.file import packing
from tfprune_test.export import hand_made


class AlignedTest(absltest.TestCase):
    def file(self, before, after):
        """A file with an input, a state, an output and the next state."""
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1, 4), "int8", ([1.0], [0]))
        state = sketch.tensor("state", (1, 4), "int8", before)
        y = sketch.tensor("y", (1, 4), "int8", ([2.0], [0]))
        new = sketch.tensor("new", (1, 4), "int8", after)
        sketch.op("RELU", [x], [y])
        sketch.op("ADD", [x, state], [new])
        return sketch.data([x, state], [y, new])

    def test_a_state_goes_out_as_it_comes_in(self):
        data = self.file(([0.5], [3]), ([0.25], [-7]))
        model = packing.unpacked(state_scales.aligned(data, ["new"]))
        (graph,) = model.subgraphs
        place = graph_edits.Place(schema, model, graph)
        self.assertEqual(
            [place.kind(op) for op in graph.operators],
            ["RELU", "ADD", "QUANTIZE"],
        )
        source, made = graph.operators[1].outputs[0], graph.outputs[1]
        self.assertEqual(list(graph.operators[2].inputs), [source])
        self.assertEqual(list(graph.operators[2].outputs), [made])
        self.assertEqual(place.steps(source), (0.25, -7))
        self.assertEqual(place.steps(made), (0.5, 3))
        self.assertEqual(graph.tensors[made].name, b"new")
        # The output that is no state.
        self.assertEqual(place.steps(graph.outputs[0]), (2.0, 0))

    def test_equal_scales_need_no_op(self):
        data = self.file(([0.5], [3]), ([0.5], [3]))
        model = packing.unpacked(state_scales.aligned(data, ["new"]))
        self.assertLen(model.subgraphs[0].operators, 2)

    def test_a_file_without_states_stays_as_it_is(self):
        data = self.file(([0.5], [3]), ([0.25], [-7]))
        self.assertIs(state_scales.aligned(data, []), data)


if __name__ == "__main__":
    absltest.main()
