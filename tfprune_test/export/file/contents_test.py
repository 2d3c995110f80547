import pathlib

import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from tfprune.export.edit import lean
from tfprune.export.file import contents
from tfprune_test.export import hand_made

FLOATS = np.float32


class ContentsTest(parameterized.TestCase):
    def ops(self, data):
        path = pathlib.Path(self.create_tempdir().full_path, "a.tflite")
        path.write_bytes(data)
        return contents.ops(path)

    @parameterized.parameters(
        # Kernels (outputs, rows, columns, inputs); 8 * 6 * 4 outputs.
        ("CONV_2D", (1, 9, 7, 5), (4, 3, 2, 5), (1, 8, 6, 4), 192 * 30),
        ("DEPTHWISE_CONV_2D", (1, 8, 6, 4), (1, 3, 2, 4), (1, 8, 6, 4),
         192 * 6),
        ("FULLY_CONNECTED", (1, 7), (4, 7), (1, 4), 28),
        ("CONV_3D", (1, 3, 3, 3, 5), (2, 2, 2, 5, 4), (1, 2, 2, 2, 4),
         32 * 40),
        # Transposed or not, 5 products for each of 2 * 3 * 4 outputs.
        ("BATCH_MATMUL", (2, 3, 5), (2, 5, 4), (2, 3, 4), 120),
        ("BATCH_MATMUL", (2, 3, 5), (2, 4, 5), (2, 3, 4), 120),
        ("MUL", (1, 7), (1, 7), (1, 7), None),
    )  # fmt: skip
    def test_multiply_adds(self, kind, shape, kernel, output, expected):
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", shape)
        w = sketch.constant("w", np.zeros(kernel, FLOATS))
        y = sketch.tensor("y", output)
        sketch.op(kind, [x, w], [y])
        (op,) = self.ops(sketch.data([x], [y]))
        self.assertEqual(op.name, kind)
        self.assertEqual((op.output, op.shape), ("y", output))
        self.assertEqual(op.macs, expected)
        self.assertEqual(op.weight_bytes, 4 * np.prod(kernel))

    @parameterized.parameters(
        ("TRANSPOSE_CONV", (1, 4, 3, 5), (2, 3, 2, 5)),
        ("CONV_3D_TRANSPOSE", (1, 2, 2, 3, 5), (1, 3, 2, 2, 5)),
    )
    def test_convolutions_that_are_transposed(self, kind, shape, kernel):
        sketch = hand_made.Sketch()
        sizes = sketch.constant("sizes", np.zeros(len(shape), np.int32))
        w = sketch.constant("w", np.zeros(kernel, FLOATS))
        x, y = sketch.tensor("x", shape), sketch.tensor("y", shape)
        sketch.op(kind, [sizes, w, x], [y])
        (op,) = self.ops(sketch.data([x], [y]))
        # 2 * 3 * 2 products for each of 4 * 3 * 5 inputs.
        self.assertEqual(op.macs, 12 * 60)

    @parameterized.parameters(4, 3)
    def test_an_lstm(self, gates):
        sketch = hand_made.Sketch()
        absent = [-1] * (4 - gates)  # Coupled with another gate.
        vector, kernel, again = (
            sketch.constant(name, np.zeros(shape, FLOATS))
            for name, shape in (("b", (8,)), ("w", (8, 3)), ("u", (8, 8)))
        )
        x, y = sketch.tensor("x", (1, 12, 3)), sketch.tensor("y", (1, 12, 8))
        state = sketch.tensor("state", (1, 8))
        inputs = [x, *absent, *[kernel] * gates, *absent, *[again] * gates]
        inputs += [-1] * 3 + [vector] * 4 + [-1] * 2 + [state] * 2
        sketch.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y])
        (op,) = self.ops(sketch.data([x], [y]))
        self.assertEqual(op.macs, 12 * gates * 8 * (3 + 8))

    def test_weights_that_several_ops_share_count_at_the_first(self):
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1, 3), "int8")
        w = sketch.constant("w", np.zeros((3, 3), np.int8))
        b = sketch.constant("b", np.zeros(3, np.int32))
        y = sketch.tensor("y", (1, 3), "int8")
        z = sketch.tensor("z", (1, 3), "int8")
        sketch.op("FULLY_CONNECTED", [x, w, b], [y])
        sketch.op("FULLY_CONNECTED", [y, w, -1], [z])
        first, second = self.ops(sketch.data([x], [z]))
        self.assertEqual((first.weight_bytes, second.weight_bytes), (21, 0))
        self.assertEqual((first.dtype, second.dtype), ("int8", "int8"))

    def test_one_weight_that_an_op_reads_twice(self):
        sketch = hand_made.Sketch()
        w = sketch.constant("w", np.zeros(3, FLOATS))
        y = sketch.tensor("y", (3,))
        sketch.op("ADD", [w, w], [y])
        (op,) = self.ops(sketch.data([], [y]))
        self.assertEqual((op.weight_bytes, op.macs), (12, None))

    def test_an_op_of_ones_own_and_one_without_inputs(self):
        sketch = hand_made.Sketch()
        y, z = sketch.tensor("y", (3,)), sketch.tensor("z", ())
        sketch.op("mine", [], [y])
        sketch.op("READ_VARIABLE", [y], [z])  # Number 143, above a byte.
        first, second = self.ops(sketch.data([], [z]))
        self.assertEqual(first.name, "mine")
        self.assertEqual(second.name, "READ_VARIABLE")
        self.assertEqual(second.shape, ())

    def test_graphs_that_are_called(self):
        sketch = hand_made.Sketch()
        x, y = sketch.tensor("x", (1, 7)), sketch.tensor("y", (1, 4))
        sketch.op("WHILE", [x], [y])
        main, body = sketch.graph, hand_made.Sketch().graph
        sketch.graph = body
        a, b = sketch.tensor("a", (1, 7)), sketch.tensor("b", (1, 4))
        w = sketch.constant("w", np.zeros((4, 7), FLOATS))
        sketch.op("FULLY_CONNECTED", [a, w, -1], [b])
        sketch.graph = main
        sketch.model.subgraphs.append(body)
        loop, op = self.ops(sketch.data([x], [y]))
        self.assertEqual((loop.name, loop.output), ("WHILE", "y"))
        self.assertEqual((loop.inner, loop.macs), (False, None))
        self.assertEqual((op.name, op.output), ("FULLY_CONNECTED", "b"))
        self.assertEqual((op.inner, op.macs), (True, 28))
        self.assertEqual(op.weight_bytes, 4 * 28)

    def test_an_op_without_outputs(self):
        sketch = hand_made.Sketch()
        x, y = sketch.tensor("x", (3,)), sketch.tensor("y", (3,))
        sketch.op("ASSIGN_VARIABLE", [x, x], [])
        sketch.op("NEG", [x], [y])
        first, second = self.ops(sketch.data([x], [y]))
        self.assertEqual(first.name, "ASSIGN_VARIABLE")
        self.assertEqual((first.output, first.shape, first.dtype), ("", (), ""))
        self.assertEqual((second.output, second.shape), ("y", (3,)))

    def test_a_file_without_the_names_of_inner_tensors(self):
        sketch = hand_made.Sketch()
        x, y, z = (sketch.tensor(name, (1, 3)) for name in "xyz")
        sketch.op("NEG", [x], [y])
        sketch.op("ABS", [y], [z])
        data = lean.without_notes(sketch.data([x], [z]))
        self.assertEqual([op.output for op in self.ops(data)], ["", "z"])

    def test_what_is_no_such_file(self):
        with self.assertRaises(ValueError):
            self.ops(b"no flatbuffer at all")


if __name__ == "__main__":
    absltest.main()
