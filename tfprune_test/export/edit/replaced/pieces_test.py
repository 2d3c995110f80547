import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.core import packages
from tfprune.export.edit import graph_edits
from tfprune.export.edit.replaced import substitutes
from tfprune.export.file import packing
from tfprune.export.run import interpreter
from tfprune_test.export import hand_made
from tfprune_test.export import small_models


class PiecesTest(parameterized.TestCase):
    @parameterized.parameters(
        ("SPLIT", [0.5], ["SPLIT"]),
        ("UNPACK", [0.5], ["UNPACK"]),
        ("SPLIT", [0.5, 0.25], ["SPLIT", "QUANTIZE"]),
        ("SPLIT", [0.25], ["SPLIT", "QUANTIZE"]),
        ("SPLIT", [], ["DEQUANTIZE", "SPLIT"]),
    )
    def test_parts_of_stored_integers(self, kind, scales, expected):
        """Of two parts one is quantized again, and the other is not read."""
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1, 4), "int8", ([0.5], [0]))
        y = sketch.tensor("y", (1, 4))
        parts = [sketch.tensor(f"part{i}", (1, 2)) for i in range(2)]
        axis = [sketch.constant("axis", np.int32(1))] * (kind == "SPLIT")
        sketch.op("DEQUANTIZE", [x], [y])
        sketch.op(kind, [*axis, y], parts)
        ends = [
            sketch.tensor(f"end{i}", (1, 2), "int8", ([scale], [0]))
            for i, scale in enumerate(scales)
        ]
        for end in ends:
            sketch.op("QUANTIZE", [parts[1]], [end])
        model = packing.unpacked(sketch.data([x], ends or parts[1:]))
        substitutes.substitute(model)
        (graph,) = model.subgraphs
        schema = packages.load("ai_edge_litert.schema_py_generated")
        place = graph_edits.Place(schema, model, graph)
        self.assertEqual([place.kind(op) for op in graph.operators], expected)
        made = {i for op in graph.operators for i in op.outputs}
        self.assertContainsSubset(graph.outputs, made)
        if scales:
            types = {place.type(i) for i in made}
            self.assertEqual(types, {hand_made.TYPES["int8"]})

    def test_what_is_divided_stays_an_output(self):
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1, 4), "int8", ([0.5], [0]))
        y = sketch.tensor("y", (1, 4))
        parts = [sketch.tensor(f"part{i}", (1, 2)) for i in range(2)]
        end = sketch.tensor("end", (1, 2), "int8", ([0.5], [0]))
        sketch.op("DEQUANTIZE", [x], [y])
        sketch.op("SPLIT", [sketch.constant("axis", np.int32(1)), y], parts)
        sketch.op("QUANTIZE", [parts[1]], [end])
        model = packing.unpacked(sketch.data([x], [y, end]))
        substitutes.substitute(model)
        (graph,) = model.subgraphs
        made = {i for op in graph.operators for i in op.outputs}
        self.assertContainsSubset(graph.outputs, made)

    @parameterized.product(
        times=[(1, 12, 1), (1, 2, 11), (1, 1, 3)],
        mode=["float32", "int8", "int16x8"],
    )
    def test_any_number_of_copies(self, times, mode):
        inputs = keras.Input((3, 4))
        model = keras.Model(inputs, keras.ops.tile(inputs, times))
        data = small_models.samples(model)
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        given = None if mode == "float32" else data[0]
        small_models.export(model, path, mode, given, runtime="micro")
        (wanted,) = small_models.predictions(model, data)
        for runtime in ("micro", "tflite"):
            found = interpreter.run(path, data, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.02)
