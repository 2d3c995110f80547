import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from ai_edge_litert import schema_py_generated as schema

from tfprune.export.edit import graph_edits
from tfprune.export.file import packing
from tfprune_test.export import hand_made


class PlaceTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.sketch = hand_made.Sketch()
        self.place = graph_edits.Place(
            schema, self.sketch.model, self.sketch.graph
        )

    def data(self, index):
        tensor = self.sketch.graph.tensors[index]
        return bytes(self.sketch.model.buffers[tensor.buffer].data)

    @parameterized.parameters("int32", "int64")
    def test_integers_that_a_tensor_holds(self, dtype):
        values = np.array([[1, -2], [3, 4]], dtype)
        index = self.sketch.constant("a", values)
        np.testing.assert_array_equal(self.place.constant(index), values)
        self.assertEqual(self.place.shape(index), (2, 2))
        computed = self.sketch.tensor("b", (2, 2), dtype)
        self.assertIsNone(self.place.constant(computed))

    @parameterized.parameters(
        (None, None),
        (([0.5], [3]), (0.5, 3)),
        (([0.5, 0.25], [0, 0]), None),
        (([], []), None),
        # Symmetric, as some writers leave the zeros out.
        (([0.5], None), (0.5, 0)),
    )
    def test_steps(self, steps, expected):
        index = self.sketch.tensor("a", (2,), "int8", steps)
        self.assertEqual(self.place.steps(index), expected)

    def test_values_that_a_tensor_can_represent(self):
        index = self.sketch.tensor("a", (2,), "int8", ([0.5], [28]))
        # From 0.5 * (-128 - 28) to 0.5 * (127 - 28), and rounded to them.
        for values, fits in (
            ([-78.0, 49.5], True),
            ([49.7], True),
            ([50.0], False),
            ([-78.5], False),
        ):
            found = self.place.represents(np.array(values), index)
            self.assertEqual(found, fits, values)

    @parameterized.parameters("int8", "int16")
    def test_real_values(self, dtype):
        stored = np.array([-128, 0, 3, 127], dtype)
        index = self.sketch.constant("a", stored, ([0.5], [3]))
        self.assertEqual(self.place.real(index).tolist(), [-65.5, -1.5, 0, 62])

    def test_what_has_no_real_values(self):
        for index in (
            self.sketch.tensor("computed", (2,), "int8", ([0.5], [3])),
            self.sketch.constant("plain", np.ones(2, np.int8)),
            # The steps of a bias are of 32 bits.
            self.sketch.constant("bias", np.ones(2, np.int32), ([0.5], [0])),
        ):
            self.assertIsNone(self.place.real(index))

    @parameterized.parameters(
        ("int8", 1.26, 5), ("int8", -99.0, -128), ("int8", 99.0, 127),
        ("int16", 99.0, 399), ("int16", -99.0, -393),
    )  # fmt: skip
    def test_a_value_in_the_steps_of_another_tensor(self, dtype, real, stored):
        like = self.sketch.tensor("like", (4,), dtype, ([0.25], [0]))
        steps = (0.25, 0 if dtype == "int8" else 3)
        index = self.place.add_steps(np.array(real), steps, like)
        found = np.frombuffer(self.data(index), dtype)
        self.assertEqual(found.tolist(), [stored])
        tensor = self.sketch.graph.tensors[index]
        self.assertEqual(tensor.name, b"like/value")
        self.assertEqual(self.place.shape(index), ())
        self.assertEqual(self.place.shape(like), (4,))

    def test_constants(self):
        values = np.array([[1, 2, 3]])
        index = self.place.add_constant(values)
        np.testing.assert_array_equal(self.place.constant(index), values)
        self.assertEqual(self.place.type(index), schema.TensorType.INT32)
        like = self.sketch.tensor("like", (4,), "int8", ([0.25], [7]))
        index = self.place.add_int8(np.array([-1, 5], np.int8), like)
        self.assertEqual(self.place.real(index).tolist(), [-2.0, -0.5])

    def test_an_op_before_another_one(self):
        x = self.sketch.tensor("x", (2, 1), "int32")
        y = self.sketch.tensor("y", (1, 3), "int32")
        first = self.sketch.op("RELU", [x], [x])
        second = self.sketch.op("RELU", [y], [y])
        made = self.place.insert(second, "ADD", "AddOptions", [x, y])
        ops = self.sketch.graph.operators
        self.assertIs(ops[0], first)
        self.assertIs(ops[2], second)
        self.assertEqual(list(ops[1].outputs), [made])
        self.assertEqual(self.place.shape(made), (2, 3))
        self.assertIsNone(self.place.constant(made))

    def test_an_op_of_another_kind(self):
        x = self.sketch.tensor("x", (2,), "int32")
        op = self.sketch.op("RELU", [x], [x])
        other = self.sketch.op("RELU", [x], [x])
        self.place.become(
            *(op, "CONCATENATION", "ConcatenationOptions", (x, x)),
            version=2,
            axis=-1,
        )
        model = packing.unpacked(self.sketch.data([x], [x]))
        op, other = model.subgraphs[0].operators
        code = model.operatorCodes[op.opcodeIndex]
        kinds = schema.BuiltinOperator
        self.assertEqual(
            (code.builtinCode, code.deprecatedBuiltinCode, code.version),
            (kinds.CONCATENATION, kinds.CONCATENATION, 2),
        )
        self.assertEqual(op.builtinOptions.axis, -1)
        self.assertEqual(list(op.inputs), [x, x])
        code = model.operatorCodes[other.opcodeIndex]
        self.assertEqual(code.builtinCode, kinds.RELU)

    def test_old_readers_see_that_they_do_not_know_an_op(self):
        x = self.sketch.tensor("x", (2,), "int32")
        op = self.sketch.op("RELU", [x], [x])
        self.place.become(op, "READ_VARIABLE", "ReadVariableOptions", [x])
        code = self.sketch.model.operatorCodes[op.opcodeIndex]
        self.assertEqual(code.deprecatedBuiltinCode, 127)


if __name__ == "__main__":
    absltest.main()
