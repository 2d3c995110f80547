"""Files that are refused before they are opened."""

import json
import pathlib
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
from absl.testing import absltest

from tfprune.legacy.formats import file_probe

LIMITS = {"seconds": 30, "bytes": 1 << 30}
# Limits hold for a whole process, so each file is probed in one of its own.
PROBE = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("probe", {file_probe.__file__!r})
probe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(probe)
probe.prepare()
probe.handle({{"path": sys.argv[1], **{LIMITS}}})
"""


class ProbeTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def probe(self, path):
        """The last line of the error, empty if there is none."""
        command = [sys.executable, "-c", PROBE, str(path)]
        found = subprocess.run(command, capture_output=True, text=True)
        lines = found.stderr.strip().splitlines()
        return lines[-1] if found.returncode else ""

    def archive(self, **entries):
        path = self.folder / "model.keras"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in entries.items():
                archive.writestr(name.replace("__", "/"), data)
        return path

    def test_whole_files_pass(self):
        path = self.folder / "model.h5"
        with h5py.File(path, "w") as file:
            file["w"] = np.ones((3, 2), "float32")
        self.assertEqual(self.probe(path), "")
        small = self.archive(config_json=json.dumps({"a": 1}))
        self.assertEqual(self.probe(small), "")

    def test_an_entry_that_leads_outside(self):
        path = self.archive(**{"..__evil": b"x"})
        self.assertIn("an entry leads outside: '../evil'", self.probe(path))

    def test_a_config_that_swells(self):
        path = self.archive(**{"config.json": b" " * (70 << 20)})
        self.assertIn("config.json would take 73,400,320", self.probe(path))

    @pytest.mark.skipif(sys.platform != "linux", reason="needs its limits")
    def test_memory_is_limited(self):
        code = (
            f"{PROBE.rsplit('probe.prepare', 1)[0]}\n"
            "probe.limit(30, 1 << 26)\nbytearray(1 << 28)"
        )
        found = subprocess.run(
            [sys.executable, "-c", code, ""], capture_output=True, text=True
        )
        self.assertIn("MemoryError", found.stderr)


if __name__ == "__main__":
    absltest.main()
