from unittest import mock

import numpy as np
import pytest
from absl.testing import absltest

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from ai_edge_litert import schema_py_generated as schema

from tfprune.export.file import contents
from tfprune.export.file import packing
from tfprune.export.file import weight_ops
from tfprune.export.run import interpreter
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

    def test_kinds_of_old_files_stay_apart(self):
        model = used()
        for code in model.operatorCodes:
            code.builtinCode = 0  # As if written before this field was.
        packing.sweep(model)
        kinds = [
            model.operatorCodes[op.opcodeIndex].deprecatedBuiltinCode
            for op in model.subgraphs[0].operators
        ]
        builtin = schema.BuiltinOperator
        self.assertEqual(kinds, [builtin.FULLY_CONNECTED, builtin.TANH])

    def test_signatures_name_the_same_tensors(self):
        model = used()
        (graph,) = model.subgraphs
        ends = []
        for name, index in ("in", graph.inputs[0]), ("out", graph.outputs[0]):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name.encode(), index
            ends.append(entry)
        damaged = schema.TensorMapT()
        damaged.name, damaged.tensorIndex = b"lost", 99
        signature = schema.SignatureDefT()
        signature.inputs, signature.outputs = ends[:1], [ends[1], damaged]
        model.signatureDefs = [signature, schema.SignatureDefT()]
        packing.sweep(model)
        names = [graph.tensors[x.tensorIndex].name for x in ends]
        self.assertEqual(names, [b"x", b"z"])

    def test_metadata_keeps_its_data(self):
        model = used()
        entry = schema.MetadataT()
        entry.name, entry.buffer = b"note", 1
        model.metadata = [entry]
        packing.sweep(model)
        self.assertIsNotNone(model.buffers[1].data)

    def test_a_memory_plan_is_one_of_the_tensors_that_are_left(self):
        def planned(places):
            model = used()
            numbers = np.array([1, 0, len(places), *places], "<i4")
            buffer, entry = schema.BufferT(), schema.MetadataT()
            buffer.data = np.frombuffer(numbers.tobytes(), "u1")
            entry.name = packing.PLAN.encode()
            entry.buffer = len(model.buffers)
            model.buffers.append(buffer)
            model.metadata = [entry]
            names = [t.name.decode() for t in model.subgraphs[0].tensors]
            packing.sweep(model)
            return names, model

        names, model = planned(range(len(used().subgraphs[0].tensors)))
        (entry,) = model.metadata
        numbers = np.frombuffer(bytes(model.buffers[entry.buffer].data), "<i4")
        left = [names.index(name) for name in ("x", "w", "y", "z")]
        self.assertLess(len(left), len(names))
        self.assertEqual(numbers.tolist(), [1, 0, 4, *left])
        # Ops were added, or the file is damaged.
        self.assertEqual(planned([0, 16])[1].metadata, [])


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


class OutsideTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        # As if the weights were too many for a flatbuffer.
        self.enter_context(
            mock.patch.object(packing, "MOST_BYTES", packing._GRAPH_BYTES)
        )

    def dense(self):
        """`(file, kernels, x, y)` of two dense ops and a small bias."""
        rng = np.random.default_rng(0)
        kernels = [
            rng.normal(size=shape).astype("float32")
            for shape in ((101, 33), (47, 101))
        ]
        bias = rng.normal(size=47).astype("float32")
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1, 33))
        h, y = sketch.tensor("h", (1, 101)), sketch.tensor("y", (1, 47))
        first, second = (
            sketch.constant(f"w{i}", kernel) for i, kernel in enumerate(kernels)
        )
        options = schema.FullyConnectedOptionsT()
        kind = schema.BuiltinOptions.FullyConnectedOptions
        for ends in (
            ([x, first, -1], [h]),
            ([h, second, sketch.constant("b", bias)], [y]),
        ):
            op = sketch.op("FULLY_CONNECTED", *ends)
            op.builtinOptions, op.builtinOptionsType = options, kind
        inputs = rng.normal(size=(1, 33)).astype("float32")
        outputs = inputs @ kernels[0].T @ kernels[1].T + bias
        return sketch.data([x], [y]), kernels, inputs, outputs

    def test_weights_follow_the_flatbuffer_and_litert_reads_them(self):
        data, kernels, inputs, outputs = self.dense()
        raw = schema.ModelT.InitFromPackedBuf(data, 0)
        outside = [b for b in raw.buffers if b.offset > 1]
        self.assertLen(outside, 2)
        for buffer, kernel in zip(outside, kernels, strict=True):
            self.assertEqual(buffer.offset % 16, 0)
            end = buffer.offset + buffer.size
            self.assertEqual(data[buffer.offset : end], kernel.tobytes())
        self.assertLen(data, outside[-1].offset + outside[-1].size)
        path = self.create_tempfile("large.tflite", data, "wb").full_path
        self.assertAllClose(interpreter.run(path, inputs), outputs)

    def test_tflite_micro_gets_them_inside(self):
        data, _, inputs, outputs = self.dense()
        path = self.create_tempfile("large.tflite", data, "wb").full_path
        with mock.patch.object(packing, "MOST_BYTES", 2**31 - 1):
            found = interpreter.run(path, inputs, "micro")
            self.assertAllClose(found, outputs)
            inside = packing.inside(data)
            self.assertIs(packing.inside(inside), inside)

    def assertAllClose(self, first, second):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4)

    def test_there_and_back(self):
        data, *_ = self.dense()
        again = packing.packed(packing.unpacked(data))
        self.assertEqual(again, data)

    def test_they_come_inside_where_there_is_room(self):
        data, kernels, inputs, outputs = self.dense()
        model = packing.unpacked(data)
        self.assertFalse(any(b.offset or b.size for b in model.buffers))
        with mock.patch.object(packing, "MOST_BYTES", 2**31 - 1):
            inside = packing.packed(model)
        raw = schema.ModelT.InitFromPackedBuf(inside, 0)
        self.assertFalse(any(b.offset or b.size for b in raw.buffers))
        for kernel in kernels:
            self.assertEqual(inside.index(kernel.tobytes()) % 16, 0)
        path = self.create_tempfile("small.tflite", inside, "wb").full_path
        self.assertAllClose(interpreter.run(path, inputs), outputs)

    def test_what_reads_weights_finds_them(self):
        data, kernels, *_ = self.dense()
        for op, kernel in zip(weight_ops.read(data), kernels, strict=True):
            np.testing.assert_array_equal(op.rows, kernel)
        self.assertEqual(set(weight_ops.computed_tensors(data)), set("xhy"))
        path = self.create_tempfile("large.tflite", data, "wb").full_path
        self.assertEqual(
            [op.weight_bytes for op in contents.ops(path)],
            [kernels[0].nbytes, kernels[1].nbytes + 4 * 47],
        )

    def test_a_file_that_was_cut_off_is_damaged(self):
        data, *_ = self.dense()
        cut = data[:-1]
        with self.assertRaisesRegex(ValueError, "must lie in the file"):
            packing.unpacked(cut)
        with self.assertRaisesRegex(ValueError, "must lie in the file"):
            weight_ops.read(cut)


if __name__ == "__main__":
    absltest.main()
