import json
import types

import numpy as np
import pytest
from absl.testing import absltest

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from tfprune.cli import file_inspection
from tfprune.export.edit import lean
from tfprune.export.file import packing
from tfprune_test.export import hand_made


def values(form="text", layers=False):
    return types.SimpleNamespace(format=form, layers=layers)


class InspectTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        sketch = hand_made.Sketch()
        x = sketch.tensor("image", (1, 3), "int8", ([0.5], [-7]))
        w = sketch.constant("w", np.ones((2, 3), np.int8))
        y = sketch.tensor("hidden", (1, 2), "int8", ([0.25], [0]))
        z = sketch.tensor("classes", (1, 2), "int8", ([0.25], [0]))
        sketch.op("FULLY_CONNECTED", [x, w, -1], [y])
        sketch.op("RELU", [y], [z])
        self.data = sketch.data([x], [z])

    def inspect(self, data=None, **kwargs):
        data = self.data if data is None else data
        path = self.create_tempfile(content=data, mode="wb").full_path
        return file_inspection.inspect(path, values(**kwargs))

    def test_totals_ends_and_kinds(self):
        text = self.inspect()
        self.assertRegex(text, r"weight bytes +6\n")
        self.assertRegex(text, r"MACs +6\n")
        self.assertRegex(text, r"input +image +int8 +1x3 +0.5 +-7")
        self.assertRegex(text, r"FULLY_CONNECTED +1 +6 +6")
        self.assertRegex(text, r"RELU +1 +0 +-")
        self.assertNotIn("hidden", text)

    def test_steps_on_demand(self):
        text = self.inspect(layers=True)
        self.assertRegex(text, r"hidden +FULLY_CONNECTED +1x2 +int8 +6 +6")

    def test_multiply_adds_of_loops(self):
        model = packing.unpacked(self.data)
        model.subgraphs.append(model.subgraphs[0])
        text = self.inspect(packing.packed(model))
        self.assertRegex(text, r"MACs, each graph once +12\n")
        self.assertRegex(text, r"FULLY_CONNECTED +2 +6 +12")

    def test_json(self):
        facts = json.loads(self.inspect(form="json"))
        self.assertEqual(facts["ops"], {"FULLY_CONNECTED": 1, "RELU": 1})
        self.assertEqual(facts["steps"][0]["macs"], 6)

    def test_a_file_without_the_names_of_inner_tensors(self):
        text = self.inspect(lean.without_notes(self.data), layers=True)
        self.assertRegex(text, r"classes +RELU")
        self.assertNotIn("hidden", text)


if __name__ == "__main__":
    absltest.main()
