import pytest
from absl.testing import absltest

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from ai_edge_litert import schema_py_generated as schema

from tfprune.export.edit import interfaces
from tfprune.export.file import model_file
from tfprune.export.file import packing
from tfprune_test.export import hand_made

STEPS = ([0.5], [3])


class QuantizedTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.sketch = hand_made.Sketch()
        self.x = self.sketch.tensor("x", (1, 4))
        self.y = self.sketch.tensor("y", (1, 4))

    def kinds(self, x=None, y=None):
        data = self.sketch.data(
            [self.x if x is None else x], [self.y if y is None else y]
        )
        model = packing.unpacked(interfaces.quantized(data))
        (graph,) = model.subgraphs
        names = {v: k for k, v in vars(schema.BuiltinOperator).items()}
        kinds = [
            names[model.operatorCodes[op.opcodeIndex].builtinCode]
            for op in graph.operators
        ]
        ends = [
            (graph.tensors[i].name.decode(), graph.tensors[i].type)
            for i in (*graph.inputs, *graph.outputs)
        ]
        return kinds, ends

    def int8(self, name):
        return self.sketch.tensor(name, (1, 4), "int8", STEPS)

    def test_the_ends_are_quantized_and_keep_their_names(self):
        a, b = self.int8("a"), self.int8("b")
        self.sketch.op("QUANTIZE", [self.x], [a])
        self.sketch.op("RELU", [a], [b])
        self.sketch.op("DEQUANTIZE", [b], [self.y])
        kinds, ends = self.kinds()
        self.assertEqual(kinds, ["RELU"])
        int8 = schema.TensorType.INT8
        self.assertEqual(ends, [("x", int8), ("y", int8)])

    def test_an_input_that_is_an_output_keeps_its_name(self):
        a = self.sketch.tensor("a", (1, 4), "int16", ([0.5], [0]))
        y = self.sketch.tensor("x_int16", (1, 4))
        self.sketch.op("QUANTIZE", [self.x], [a])
        self.sketch.op("DEQUANTIZE", [a], [y])
        _, ends = self.kinds(y=y)
        int16 = schema.TensorType.INT16
        self.assertEqual(ends, [("x", int16), ("x", int16)])

    def test_several_readers_share_the_quantized_input(self):
        a, b, c = (self.int8(name) for name in "abc")
        self.sketch.op("QUANTIZE", [self.x], [a])
        self.sketch.op("QUANTIZE", [self.x], [b])
        self.sketch.op("ADD", [a, b], [c])
        self.sketch.op("DEQUANTIZE", [c], [self.y])
        kinds, _ = self.kinds()
        self.assertEqual(kinds, ["ADD"])

    def test_ends_that_float_layers_use_stay_float(self):
        a = self.sketch.tensor("a", (1, 4))
        self.sketch.op("NEG", [self.x], [a])
        self.sketch.op("RELU", [a], [self.y])
        kinds, ends = self.kinds()
        self.assertEqual(kinds, ["NEG", "RELU"])
        floats = schema.TensorType.FLOAT32
        self.assertEqual(ends, [("x", floats), ("y", floats)])

    def test_an_input_that_is_also_read_in_float_stays_float(self):
        a, b = self.int8("a"), self.sketch.tensor("b", (1, 4))
        self.sketch.op("QUANTIZE", [self.x], [a])
        self.sketch.op("DEQUANTIZE", [a], [b])
        self.sketch.op("ADD", [self.x, b], [self.y])
        kinds, _ = self.kinds()
        self.assertEqual(kinds, ["QUANTIZE", "DEQUANTIZE", "ADD"])

    def test_the_file_can_be_read(self):
        a, b = self.int8("a"), self.int8("b")
        self.sketch.op("QUANTIZE", [self.x], [a])
        self.sketch.op("RELU", [a], [b])
        self.sketch.op("DEQUANTIZE", [b], [self.y])
        data = interfaces.quantized(self.sketch.data([self.x], [self.y]))
        path = self.create_tempfile(content=data, mode="wb").full_path
        file = model_file.read(path)
        self.assertEqual(file.inputs[0].scale, 0.5)
        self.assertEqual(file.outputs[0].zero_point, 3)


if __name__ == "__main__":
    absltest.main()
