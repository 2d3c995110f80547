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


def run(folder, *flags):
    result = subprocess.run(
        [
            sys.executable,
            "examples/learned_pruning.py",
            "--smoke",
            f"--out={folder}",
            *flags,
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
        plot, table = folder / "curves.png", folder / "table.md"
        run(folder, f"--table={table}", f"--plot={plot}")
        files = sorted(folder.glob("*-seed0.json"))
        rows = {
            r["kind"]: r for r in (json.loads(p.read_text()) for p in files)
        }
        self.assertCountEqual(
            rows, ["autoprune", "bits", "dense", "gradual", "str"]
        )
        for method in ("autoprune", "gradual", "str"):
            self.assertBetween(rows[method]["sparsity"], 0.05, 0.99)
            self.assertEqual(rows[method]["bits"], 32)
        self.assertBetween(rows["bits"]["bits"], 1, 7.9)
        self.assertEqual(rows["dense"]["sparsity"], 0)
        self.assertIn("| gradual 0.8 |", table.read_text())
        self.assertEqual(plot.read_bytes()[1:4], b"PNG")
        with self.assertRaisesRegex(RuntimeError, "Continue with --resume"):
            run(folder)
        written = [path.stat().st_mtime_ns for path in files]
        self.assertIn(table.read_text(), run(folder, "--resume"))
        again = [path.stat().st_mtime_ns for path in files]
        self.assertEqual(again, written)
        with self.assertRaisesRegex(RuntimeError, "Choose another --out"):
            run(folder, "--resume", "--learning_rate=0.5")


if __name__ == "__main__":
    absltest.main()
