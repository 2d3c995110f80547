"""The example, as a user runs it: a script in a process of its own."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from absl.testing import absltest

from tools import source_tree

pytest.importorskip("sklearn", reason="the digits come with it")
pytest.importorskip("matplotlib", reason="the example draws")


def run(folder):
    result = subprocess.run(
        [
            sys.executable,
            "examples/learned_pruning.py",
            "--smoke",
            f"--out={folder}",
        ],
        cwd=source_tree.ROOT,
        env=dict(os.environ, PYTHONPATH=str(source_tree.ROOT)),
        capture_output=True,
        text=True,
        timeout=900,
    )
    if result.returncode:
        raise RuntimeError(result.stderr)
    return result.stdout


@pytest.mark.slow
class LearnedPruningTest(absltest.TestCase):
    def test_every_method_prunes_and_finished_runs_are_kept(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        run(folder)
        files = sorted(folder.glob("*.json"))
        rows = [json.loads(path.read_text()) for path in files]
        methods = [row["method"] for row in rows]
        self.assertEqual(methods, ["autoprune", "gradual", "str"])
        for row in rows:
            self.assertBetween(row["sparsity"], 0.05, 0.99)
        table = (folder / "resnet8-digits-2.md").read_text()
        self.assertIn("| gradual | 0.8 | 0 | 80.0% |", table)
        picture = (folder / "resnet8-digits-2.png").read_bytes()
        self.assertEqual(picture[1:4], b"PNG")
        written = [path.stat().st_mtime_ns for path in files]
        self.assertIn(table, run(folder))
        again = [path.stat().st_mtime_ns for path in files]
        self.assertEqual(again, written)


if __name__ == "__main__":
    absltest.main()
