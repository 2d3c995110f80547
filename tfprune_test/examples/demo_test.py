"""The demo, as a user runs it: a script in a process of its own."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import pytest
from absl.testing import absltest

from tfprune.costs import counting
from tools import source_tree

pytest.importorskip("tflite_micro", reason="Linux on x86-64 only")
FILES = (
    "firmware",
    "model.keras",
    "model.tflite",
    "report.html",
    "result.json",
)


def run(folder, *arguments):
    """Runs the demo; returns what it printed."""
    result = subprocess.run(
        [sys.executable, "examples/demo.py", f"--out={folder}", *arguments],
        cwd=source_tree.ROOT,
        env=dict(os.environ, PYTHONPATH=str(source_tree.ROOT)),
        capture_output=True,
        text=True,
        timeout=900,
    )
    if result.returncode:
        raise RuntimeError(result.stderr)
    return result.stdout


class DemoTest(absltest.TestCase):
    """One epoch of a narrow net: what comes out, not how good it is."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.folder = pathlib.Path(folder, "demo")
        cls.printed = run(
            cls.folder,
            "--epochs=1",
            "--tune_epochs=1",
            "--width=8",
            "--evaluations=1",
        )
        cls.report = json.loads((cls.folder / "report.json").read_text())
        cls.nets = cls.report["nets"]

    def test_it_leaves_its_files_and_no_others(self):
        self.assertCountEqual(
            os.listdir(self.folder),
            ["dense.keras", "report.json", "compressed"],
        )
        self.assertCountEqual(os.listdir(self.folder / "compressed"), FILES)

    def test_the_saved_model_has_the_costs_of_the_report(self):
        path = self.folder / "compressed" / "model.keras"
        found = counting.cost(keras.saving.load_model(path))
        self.assertEqual(found.params, self.nets["compressed"]["parameters"])
        self.assertEqual(found.macs, self.nets["compressed"]["MACs"])

    def test_the_budget_is_met_and_used(self):
        share = self.nets["compressed"]["MACs"] / self.nets["dense"]["MACs"]
        self.assertLessEqual(share, 0.25)
        self.assertGreater(share, 0.15)
        self.assertTrue(self.report["settings"]["fits"])

    def test_flash_and_arena_are_those_of_the_files(self):
        folder = self.folder / "compressed"
        net = self.nets["compressed"]
        size = (folder / "model.tflite").stat().st_size
        self.assertEqual(net["int8 file bytes"], size)
        header = (folder / "firmware" / "model.h").read_text()
        self.assertIn(f"DATA_BYTES {net['int8 flash, measured']}\n", header)
        settings = (folder / "firmware" / "model_settings.h").read_text()
        self.assertIn(
            f"ARENA_NEEDED {net['arena, needed on the core']}", settings
        )

    def test_the_table_and_the_address_of_the_report_are_printed(self):
        for net in self.nets.values():
            self.assertIn(f"{net['int8 flash, measured']:,}", self.printed)
        address = self.printed.splitlines()[-1]
        path = self.folder / "compressed" / "report.html"
        self.assertEqual(address, f"The report: {path.resolve().as_uri()}")
        self.assertIn("arena, measured", path.read_text())


class FolderTest(absltest.TestCase):
    def test_a_folder_of_somebody_else_stays(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        (folder / "compressed").mkdir()
        notes = folder / "compressed" / "notes.txt"
        notes.write_text("mine")
        with self.assertRaisesRegex(RuntimeError, "which holds notes.txt"):
            run(folder)
        self.assertEqual(notes.read_text(), "mine")


@pytest.mark.slow
class WholeDemoTest(absltest.TestCase):
    def test_at_most_a_point_of_accuracy_is_lost(self):
        folder = self.create_tempdir().full_path
        run(folder)
        report = json.loads(pathlib.Path(folder, "report.json").read_text())
        dense, small = report["nets"].values()
        least = dense["test accuracy, float32"] - 0.01
        self.assertGreater(dense["test accuracy, float32"], 0.97)
        self.assertGreaterEqual(small["test accuracy, float32"], least)
        name = "test accuracy, int8 on TFLite Micro"
        self.assertGreaterEqual(small[name], least)


if __name__ == "__main__":
    absltest.main()
