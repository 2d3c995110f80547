import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from ai_edge_litert import schema_py_generated as schema

from tfprune.export.file import packing
from tfprune.export.micro.arena import flat_ops
from tfprune_test.export import hand_made


class TensorTest(parameterized.TestCase):
    @parameterized.parameters(
        ("INT8", (2, 3), 6),
        ("INT16", (2, 3), 12),
        ("FLOAT32", (2, 3), 24),
        ("INT32", (), 4),
        ("INT64", (3,), 24),
        ("BOOL", (3,), 3),
        # Two a byte, the last one alone.
        ("INT4", (5,), 3),
        ("RESOURCE", (), 4),
        ("STRING", (5,), 0),
    )
    def test_bytes(self, dtype, shape, expected):
        tensor = flat_ops.Tensor("t", shape, dtype, 0, False, False)
        self.assertEqual(tensor.bytes, expected)


class ReadTest(absltest.TestCase):
    def test_a_damaged_file_is_refused_in_one_line(self):
        with self.assertRaisesRegex(ValueError, "^The file is damaged: .*$"):
            flat_ops.read(b"\xff" * 64)

    def test_an_output_that_is_no_tensor_is_damage(self):
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1, 3), "int8", ([0.5], [0]))
        sketch.op("mine", [x], [-1])
        with self.assertRaisesRegex(ValueError, "an output that is no tensor"):
            flat_ops.read(sketch.data([x], [x]))

    def test_what_memory_is_planned_by(self):
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1, 3), "int8", ([0.5], [0]))
        w = sketch.constant("w", np.ones((2, 3), "int8"), ([0.1, 0.2], [0, 0]))
        state = sketch.tensor("state", (1, 2), "int8", ([0.5], [0]))
        sketch.graph.tensors[state].isVariable = True
        y = sketch.tensor("y", (1, 2), "int8", ([0.5], [0]))
        made = sketch.op("FULLY_CONNECTED", [x, w, -1], [y])
        made.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        made.builtinOptions = schema.FullyConnectedOptionsT()
        made.builtinOptions.keepNumDims = True
        sketch.op("mine", [y, state], [])
        (graph,) = flat_ops.read(sketch.data([x], [y]))
        dense, custom = graph.ops
        self.assertEqual((dense.kind, custom.kind), ("FULLY_CONNECTED", "mine"))
        weights = dense.inputs[1]
        self.assertEqual((weights.name, weights.shape), ("w", (2, 3)))
        self.assertEqual((weights.channels, weights.constant), (2, True))
        self.assertIsNone(dense.inputs[2])
        self.assertTrue(dense.option("keepNumDims"))
        self.assertEqual(dense.option("nonsense", 7), 7)
        self.assertTrue(custom.inputs[1].variable)
        self.assertEqual(custom.outputs, [])
        self.assertIs(graph.inputs[0], dense.inputs[0])
        self.assertEqual(graph.outputs[0].planned, -1)

    def test_the_subgraphs_that_an_op_runs(self):
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1,))
        y = sketch.tensor("y", (1,))
        loop = sketch.op("WHILE", [x], [y])
        loop.builtinOptionsType = schema.BuiltinOptions.WhileOptions
        loop.builtinOptions = schema.WhileOptionsT()
        loop.builtinOptions.condSubgraphIndex = 3
        loop.builtinOptions.bodySubgraphIndex = 5
        (graph,) = flat_ops.read(sketch.data([x], [y]))
        self.assertEqual(graph.ops[0].subgraphs, [3, 5])

    def test_offsets_of_a_plan_in_the_file(self):
        sketch = hand_made.Sketch()
        x, y = sketch.tensor("x", (1, 3)), sketch.tensor("y", (1, 3))
        sketch.op("NEG", [x], [y])
        model = packing.unpacked(sketch.data([x], [y]))
        entry, buffer = schema.MetadataT(), schema.BufferT()
        entry.name = b"OfflineMemoryAllocation"
        entry.buffer = len(model.buffers)
        buffer.data = np.array([1, 0, 2, 48, -1], "<i4").view("u1")
        model.buffers.append(buffer)
        model.metadata = [entry]
        (graph,) = flat_ops.read(packing.packed(model))
        self.assertEqual([t.planned for t in graph.tensors], [48, -1])


if __name__ == "__main__":
    absltest.main()
