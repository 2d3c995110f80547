import pytest
from absl.testing import absltest

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from ai_edge_litert import schema_py_generated as schema

from tfprune.export.edit import named_ends
from tfprune.export.file import model_file
from tfprune.export.file import packing
from tfprune_test.export import hand_made


def entry(name, index):
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, index
    return made


class RestoredTest(absltest.TestCase):
    def test_order_and_names_are_those_of_the_model(self):
        sketch = hand_made.Sketch()
        a, y = (sketch.tensor(name, (1, 2)) for name in ("a:0", "Call:0"))
        b, z = (sketch.tensor(name, (1, 3)) for name in ("b:0", "Call:1"))
        sketch.op("NEG", [a], [y])
        sketch.op("NEG", [b], [z])
        data = sketch.data([a, b], [y, z])
        model = packing.unpacked(data)
        signature = schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.inputs = [entry("input_1", a), entry("input_0", b)]
        # By their names b and z come first.
        signature.outputs = [entry("output_1", y), entry("output_0", z)]
        model.signatureDefs = [signature]
        found = named_ends.restored(
            packing.packed(model), ["beta", "alpha"], ["large", "small"]
        )
        path = self.create_tempfile(content=found, mode="wb").full_path
        file = model_file.read(path)
        self.assertEqual(
            [(t.name, t.shape) for t in (*file.inputs, *file.outputs)],
            [
                ("beta", (1, 3)),
                ("alpha", (1, 2)),
                ("large", (1, 3)),
                ("small", (1, 2)),
            ],
        )
        self.assertFalse(packing.unpacked(found).signatureDefs)

    def test_a_tensor_of_several_ends_has_the_name_of_the_first(self):
        sketch = hand_made.Sketch()
        x, y = (sketch.tensor(name, (1, 2)) for name in ("a:0", "Call:0"))
        sketch.op("NEG", [x], [y])
        model = packing.unpacked(sketch.data([x], [x, y, y]))
        signature = schema.SignatureDefT()
        signature.inputs = [entry("in", x)]
        signature.outputs = [
            entry(f"out_{i}", index) for i, index in enumerate((x, y, y))
        ]
        model.signatureDefs = [signature]
        found = named_ends.restored(
            packing.packed(model), ["x"], ["x_1", "mem", "mem_1"]
        )
        path = self.create_tempfile(content=found, mode="wb").full_path
        file = model_file.read(path)
        names = [t.name for t in (*file.inputs, *file.outputs)]
        self.assertEqual(names, ["x", "x", "mem", "mem"])


class UnnumberedTest(absltest.TestCase):
    def names(self, made, wanted):
        sketch = hand_made.Sketch()
        a, b, y, z = (sketch.tensor(name, (1, 2)) for name in made)
        sketch.op("NEG", [a], [y])
        sketch.op("NEG", [b], [z])
        data = sketch.data([a, b], [y, z])
        found = named_ends.unnumbered(data, wanted[:2], wanted[2:])
        path = self.create_tempfile(content=found, mode="wb").full_path
        file = model_file.read(path)
        return [t.name for t in (*file.inputs, *file.outputs)]

    def test_what_differs_in_capitals_alone(self):
        wanted = ["A", "a", "Out", "out"]
        self.assertEqual(
            self.names(["A_1", "a", "Out", "out_2"], wanted), wanted
        )

    def test_others_stay(self):
        made = ["a", "b", "y_int16", "Call_1:0"]
        self.assertEqual(self.names(made, ["b", "a", "y", "z"]), made)


if __name__ == "__main__":
    absltest.main()
