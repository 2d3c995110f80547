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
from tfprune.export.edit import lean
from tools import source_tree

pytest.importorskip("tflite_micro", reason="Linux on x86-64 only")
FILES = (
    "channels.png",
    "firmware",
    "model.keras",
    "model.tflite",
    "report.json",
    "report.md",
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
    """Two epochs of a narrow net: what comes out, not how good it is."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.folder = pathlib.Path(folder, "demo")
        cls.printed = run(
            cls.folder, "--epochs=1", "--tune_epochs=1", "--width=8"
        )
        cls.report = json.loads((cls.folder / "report.json").read_text())
        cls.nets = cls.report["nets"]

    def test_it_leaves_its_files_and_no_others(self):
        self.assertEqual(sorted(os.listdir(self.folder)), list(FILES))

    def test_the_saved_model_has_the_costs_of_the_report(self):
        model = keras.saving.load_model(self.folder / "model.keras")
        found = counting.cost(model)
        self.assertEqual(found.params, self.nets["pruned"]["params"])
        self.assertEqual(found.macs, self.nets["pruned"]["macs"])
        self.assertEqual(found.params, model.count_params())

    def test_the_budget_is_met_and_used(self):
        share = self.nets["pruned"]["macs"] / self.nets["dense"]["macs"]
        self.assertLessEqual(share, 0.25)
        self.assertGreater(share, 0.15)

    def test_the_flash_of_the_report_is_that_of_the_firmware(self):
        file = (self.folder / "model.tflite").read_bytes()
        data = lean.without_notes(file)
        net = self.nets["int8 on TFLM"]
        self.assertEqual(net["int8_flash_bytes"], len(data))
        firmware = self.folder / "firmware"
        settings = (firmware / "model_settings.h").read_text()
        self.assertIn(f"ARENA_NEEDED {net['int8_arena_bytes']}", settings)
        header = (firmware / "model.h").read_text()
        self.assertIn(f"DATA_BYTES {len(data)}", header)

    def test_bytes_fall_from_net_to_net(self):
        dense, pruned, int8 = self.nets.values()
        for quantity in ("float32_file_bytes", "float32_arena_bytes"):
            self.assertLess(pruned[quantity], dense[quantity])
        self.assertLess(int8["int8_flash_bytes"], pruned["float32_file_bytes"])
        self.assertLess(int8["int8_arena_bytes"], pruned["float32_arena_bytes"])

    def test_strip_of_the_masked_model_is_exact(self):
        self.assertLess(self.report["settings"]["strip_difference"], 1e-4)

    def test_the_picture_is_a_png(self):
        data = (self.folder / "channels.png").read_bytes()
        self.assertEqual(data[:4], b"\x89PNG")

    def test_how_the_numbers_came_about_is_told(self):
        text = (self.folder / "report.md").read_text()
        for fact in ("1295 train", "143 validation", "359 test", "Seed 0"):
            self.assertIn(fact, text.replace("\n", " "))
        self.assertEqual(self.report["settings"]["epochs"], 1)
        self.assertIn("keras", self.report["settings"]["versions"])

    def test_the_table_is_printed(self):
        for net in self.nets.values():
            for quantity in set(net) - {"accuracy"}:
                self.assertIn(f"{net[quantity]:,}", self.printed)
            self.assertIn(f"{100 * net['accuracy']:.2f} %", self.printed)


@pytest.mark.slow
class WholeDemoTest(absltest.TestCase):
    def test_at_most_a_point_of_accuracy_is_lost(self):
        folder = self.create_tempdir().full_path
        run(folder)
        report = json.loads(pathlib.Path(folder, "report.json").read_text())
        nets = report["nets"]
        dense = nets["dense"]["accuracy"]
        self.assertGreater(dense, 0.97)
        self.assertGreaterEqual(nets["pruned"]["accuracy"], dense - 0.01)
        self.assertGreaterEqual(nets["int8 on TFLM"]["accuracy"], dense - 0.01)


if __name__ == "__main__":
    absltest.main()
