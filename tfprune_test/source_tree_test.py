import json
import pathlib

from absl.testing import absltest

from tools import source_tree


class WriteDataTest(absltest.TestCase):
    def test_each_row_has_a_line(self):
        value = {
            "m4": {"base": 7, "parts": [[1, ["Add", "Sub"]], [2, ["Mul"]]]},
            "m0": {"ADD": [0.5, 1.0], "SUB": [], "NONE": {}},
        }
        path = pathlib.Path(self.create_tempdir().full_path, "table.json")
        source_tree.write_data(path, value)
        text = path.read_text()
        self.assertEqual(json.loads(text), value)
        self.assertIn('\n   [1, ["Add", "Sub"]],\n', text)
        self.assertIn('\n  "ADD": [0.5, 1.0],\n', text)
