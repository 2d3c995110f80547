from unittest import mock

import numpy as np
import pytest
from absl.testing import absltest

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from ai_edge_litert import schema_py_generated as schema

from tfprune.export.file import packing
from tfprune_test.export import hand_made


def used():
    """A kernel and an input that ops use, with an input left out."""
    sketch = hand_made.Sketch()
    x = sketch.tensor("x", (1, 3))
    sketch.tensor("unused", (7,))
    sketch.constant("forgotten", np.ones(50, "float32"))
    w = sketch.constant("w", np.arange(6, dtype="float32").reshape(2, 3))
    y = sketch.tensor("y", (1, 2))
    z = sketch.tensor("z", (1, 2))
    sketch.op("RELU", [x], [x])  # Of a kind that goes with its op.
    del sketch.graph.operators[0]
    sketch.op("FULLY_CONNECTED", [x, w, -1], [y])
    sketch.op("TANH", [y], [z])
    sketch.graph.inputs, sketch.graph.outputs = [x], [z]
    return sketch.model


def facts(model):
    """What a model computes, by name."""
    (graph,) = model.subgraphs
    names = [t.name.decode() for t in graph.tensors]
    ops = []
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex].builtinCode
        inputs = [names[i] if i >= 0 else None for i in op.inputs]
        ops.append((code, inputs, [names[i] for i in op.outputs]))
    ends = [[names[i] for i in k] for k in (graph.inputs, graph.outputs)]
    return names, ops, *ends


class SweepTest(absltest.TestCase):
    def test_what_nothing_uses_goes_and_the_rest_is_the_same(self):
        model = used()
        _, ops, inputs, outputs = facts(model)
        packing.sweep(model)
        self.assertEqual(
            facts(model), (["x", "w", "y", "z"], ops, inputs, outputs)
        )
        self.assertLen(model.operatorCodes, 2)
        kept = [b.data is not None for b in model.buffers]
        # The numbers of buffers stay: none, the forgotten one, the kernel.
        self.assertEqual(kept, [False, False, True])

    def test_equal_kinds_of_ops_become_one(self):
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1,))
        for version in (1, 2, 1):
            sketch.op("RELU", [x], [x], version)
        sketch.op("mine", [x], [x])
        sketch.op("yours", [x], [x])
        sketch.graph.inputs = sketch.graph.outputs = [x]
        packing.sweep(sketch.model)
        numbers = [op.opcodeIndex for op in sketch.graph.operators]
        self.assertEqual(numbers, [0, 1, 0, 2, 3])
        self.assertLen(sketch.model.operatorCodes, 4)

    def test_metadata_keeps_its_data(self):
        model = used()
        entry = schema.MetadataT()
        entry.name, entry.buffer = b"note", 1
        model.metadata = [entry]
        packing.sweep(model)
        self.assertIsNotNone(model.buffers[1].data)


class PackedTest(absltest.TestCase):
    def test_metadata_without_a_name(self):
        model = used()
        model.metadata = [schema.MetadataT()]
        (entry,) = packing.unpacked(packing.packed(model)).metadata
        self.assertEqual(entry.name, b"")

    def test_there_and_back(self):
        model = used()
        data = packing.packed(model)
        self.assertEqual(data[4:8], b"TFL3")
        again = packing.unpacked(data)
        self.assertEqual(facts(again), facts(model))
        for a, b in zip(model.buffers, again.buffers, strict=True):
            self.assertEqual(
                b"" if a.data is None else bytes(a.data),
                b"" if b.data is None else bytes(b.data),
            )

    def test_weights_begin_at_multiples_of_sixteen_bytes(self):
        sketch = hand_made.Sketch()
        marks = []
        for size in (17, 33, 64):
            mark = np.full(size, size, "int8")
            marks.append(mark.tobytes())
            sketch.constant(f"of {size}", mark)
        data = sketch.data([], [])
        for mark in marks:
            self.assertEqual(data.index(mark) % 16, 0)

    def test_large_weights_behind_the_flatbuffer_come_inside(self):
        model = used()
        content = bytes(model.buffers[2].data)
        model.buffers[2].data = None
        model.buffers[2].offset, model.buffers[2].size = 2**40, 2**40
        builder_data = packing.packed(model)
        # A writer fills in where the weights lie when it has written them.
        outer = schema.ModelT.InitFromPackedBuf(builder_data, 0)
        self.assertIsNone(outer.buffers[2].data)
        outer.buffers[2].offset = len(builder_data) + 8
        outer.buffers[2].size = len(content)
        with mock.patch.object(
            schema.ModelT, "InitFromPackedBuf", return_value=outer
        ):
            found = packing.unpacked(builder_data + b"12345678" + content)
        self.assertEqual(bytes(found.buffers[2].data), content)
        self.assertEqual(found.buffers[2].offset, 0)
        self.assertIn(content, packing.packed(found))


if __name__ == "__main__":
    absltest.main()
