"""The notebooks: their scripts run, and what is shown came from them."""

import json
import pathlib

import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tools import notebooks

PATHS = [(path.stem, path) for path in notebooks.sources()]


class NotebooksTest(parameterized.TestCase):
    @parameterized.named_parameters(*PATHS)
    def test_what_is_shown_has_the_cells_of_the_script(self, path):
        shown = json.loads(path.with_suffix(".ipynb").read_text())
        cells = [cell for cell in shown["cells"] if cell["source"]]
        text = path.read_text()
        setup = "".join(cells.pop(1)["source"])
        self.assertEqual(setup, notebooks.SETUP.strip())
        for cell in cells:
            for line in cell["source"]:
                self.assertIn(line.strip(), text)
        self.assertLen(cells, text.count("\n# %%"))

    @parameterized.named_parameters(*PATHS)
    def test_it_shows_pictures_and_no_error(self, path):
        shown = json.loads(path.with_suffix(".ipynb").read_text())
        outputs = [
            output
            for cell in shown["cells"]
            for output in cell.get("outputs", ())
        ]
        self.assertNotIn("error", [x["output_type"] for x in outputs])
        pictures = [x for x in outputs if "image/png" in x.get("data", ())]
        self.assertGreaterEqual(len(pictures), 2)

    @parameterized.named_parameters(*PATHS)
    @pytest.mark.slow
    def test_it_runs(self, path):
        for name in ("jupytext", "nbclient", "ipykernel"):
            pytest.importorskip(name)
        folder = pathlib.Path(self.create_tempdir().full_path)
        notebook = notebooks.executed(path, folder)
        self.assertNotEmpty(notebook.cells)


if __name__ == "__main__":
    absltest.main()
