"""What a killed process left is removed, and nothing else."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
from unittest import mock

from absl.testing import absltest

from tfprune.core.files import leftovers


class LeftoversTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def left(self, process, days):
        """A folder as a process leaves it."""
        with mock.patch.object(os, "getpid", return_value=process):
            path = self.folder / f"tfprune-{leftovers.owner()}-{days}"
        path.mkdir()
        (path / "file").touch()
        then = time.time() - days * 24 * 3600
        os.utime(path, (then, then))
        return path

    def test_the_old_ones_of_dead_processes_go(self):
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        old = self.left(gone.pid, days=2)
        young = self.left(gone.pid, days=0)
        running = self.left(os.getpid(), days=3)
        other = self.folder / "tfprune-elsewhere-1-a"
        other.mkdir()
        os.utime(other, (0, 0))
        leftovers.sweep(self.folder, "tfprune-")
        self.assertFalse(old.exists())
        for path in (young, running, other):
            self.assertTrue(path.exists(), path)

    def test_a_folder_is_gone_afterwards(self):
        with mock.patch.object(tempfile, "tempdir", str(self.folder)):
            with leftovers.folder() as name:
                self.assertIn(f"-{os.getpid()}-", name)
                pathlib.Path(name, "file").touch()
        self.assertEmpty(os.listdir(self.folder))
