"""The scripts as a user runs them, small: what they leave and what they say."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tools import source_tree

pytest.importorskip("sklearn", reason="the digits come with it")

COLUMNS = "method budget accuracy MACs params nonzero bits".split()
COLUMNS += ["score 2019", "score 2025", "seeds", "CPU s"]
FLAGS = "model dataset method macs epochs seed data_dir out backend resume"
# Scripts that end in the same table, and what their smoke run lists.
SCRIPTS = {
    "train": ["dense"],
    "prune": ["l1"],
    "fit_pruning": ["gradual", "2:4", "channels", "str"],
    "search": ["amc", "greedy", "uniform"],
    "export": ["float16", "int8"],
    "lab_minicifar": ["dense", "l1", "str"],
    "reproduce_table": ["pcas_r56_c10"],
    "compare_tfmot": ["dense", "zeros", "channels"],
    "compare_criteria": ["random, group", "l1, group"],
    "fit_board": ["compress"],
    "lenet5_autoprune": ["mu 0.001"],
}
NEEDS = {
    "export": "tflite_micro",
    "fit_board": "tflite_micro",
    "compare_tfmot": "tflite_micro",
}


def start(script, *arguments):
    return subprocess.Popen(
        [sys.executable, f"examples/{script}.py", *arguments],
        cwd=source_tree.ROOT,
        env=dict(os.environ, PYTHONPATH=str(source_tree.ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(script, *arguments, code=0):
    """What a script prints; with another exit status, what it complains of."""
    process = start(script, *arguments)
    printed, complained = process.communicate(timeout=900)
    if process.returncode != code:
        raise RuntimeError(complained)
    return complained if code else printed


class Scripts(parameterized.TestCase):
    def folder(self):
        return pathlib.Path(self.create_tempdir().full_path) / "run"

    def check(self, script, *flags):
        """Runs a script small; returns its folder and its metrics."""
        folder = self.folder()
        table = folder.parent / "table.md"
        outputs = f"--out={folder}", f"--table={table}"
        printed = run(script, "--smoke", *outputs, *flags)
        metrics = json.loads((folder / "metrics.json").read_text())
        for name in FLAGS.split():
            self.assertIn(name, metrics["flags"])
        for key in ("seed", "environment", "revision", "seconds"):
            self.assertIn(key, metrics)
        self.assertIn("keras", metrics["environment"]["versions"])
        self.assertIn(table.read_text(), printed)
        self.assertIn(f"`examples/{script}.py`", table.read_text())
        header = next(x for x in printed.splitlines() if "| method" in x)
        cells = [cell.strip() for cell in header.split("|")[1:-1]]
        self.assertEqual(cells[: len(COLUMNS)], COLUMNS)
        return folder, metrics


class TrainTest(Scripts):
    @pytest.mark.slow  # Two processes that import Keras.
    def test_its_network_is_what_the_others_take(self):
        folder, metrics = self.check("train", "--model=resnet8")
        model = keras.saving.load_model(folder / "resnet8-seed0.keras")
        (row,) = metrics["rows"]
        self.assertGreater(row["cpu_seconds"], 0)
        self.assertEqual(model.count_params(), 78_666 - 2 * 3 * 3 * 16)
        with self.subTest("a file's results are in --out, not beside it"):
            path = folder / "resnet8-seed0.keras"
            before = sorted(folder.iterdir())
            again, _ = self.check("train", f"--model={path}")
            self.assertTrue((again / "resnet8-seed0-seed0.keras").exists())
            self.assertEqual(sorted(folder.iterdir()), before)

    @pytest.mark.slow  # Three processes that import Keras.
    def test_results_are_kept(self):
        folder, _ = self.check("train", "--model=resnet8")
        with self.subTest("results are not overwritten"):
            flags = "--smoke", "--model=resnet8", f"--out={folder}"
            said = run("train", *flags, code=1)
            self.assertIn("Continue with --resume", said)
        with self.subTest("nor mixed with other settings"):
            flags += ("--resume", "--learning_rate=0.5")
            self.assertIn("the same flags", run("train", *flags, code=1))

    @pytest.mark.slow  # A process that imports Keras.
    def test_help_tells_what_it_is_for(self):
        told, _ = start("prune", "--help").communicate(timeout=300)
        self.assertIn("Prunes a trained network in one shot", told)
        self.assertIn("python examples/prune.py --smoke", told)
        for flag in FLAGS.split():
            self.assertRegex(told, rf"--(\[no\])?{flag}: ")

    @pytest.mark.slow  # A process that imports Keras.
    def test_an_unknown_method_is_refused_before_anything_is_trained(self):
        folder = self.folder()
        said = run("prune", "--smoke", f"--out={folder}", "--method=l3", code=1)
        self.assertIn("--method takes amc, apoz", said)
        self.assertIn("Received: l3", said)
        self.assertFalse(folder.exists())


@pytest.mark.slow
class SmokeTest(Scripts):
    @parameterized.parameters(*(set(SCRIPTS) - {"train"}))
    def test_runs(self, script):
        pytest.importorskip(NEEDS.get(script, "keras"))
        _, metrics = self.check(script)
        methods = {row["method"] for row in metrics["rows"]}
        self.assertCountEqual(methods, SCRIPTS[script])
        for row in metrics["rows"]:
            self.assertBetween(row["accuracy"], 0, 1)
            self.assertGreater(row["score_2019"], 0)

    @parameterized.parameters(
        "pcas_r50_c100", "amc_r50_c10", "thinet_r50_imagenet"
    )
    def test_rows_of_the_table(self, row):
        _, metrics = self.check("reproduce_table", f"--row={row}")
        (found,) = metrics["rows"]
        self.assertEqual(found["method"], row)
        self.assertLess(found["params"], 1)

    def test_another_backend(self):
        _, metrics = self.check("prune", "--backend=jax", "--model=resnet8")
        self.assertEqual(metrics["flags"]["backend"], "jax")


# Stands for the interpreter that can import tfmot, and prunes nothing.
WITHOUT_TFMOT = """#!{python}
import pathlib
import sys

import numpy as np

sys.argv[:1] = []
sys.path[0] = str(pathlib.Path(sys.argv[0]).parent)

import compare_tfmot


def with_tfmot():
    flags = compare_tfmot.FLAGS
    model = compare_tfmot.study.load(flags.model)
    weights = enumerate(model.get_weights())
    np.savez(flags.job, **{{str(i): w for i, w in weights}})


compare_tfmot.with_tfmot = with_tfmot
compare_tfmot.app.run(compare_tfmot.main)
"""


@pytest.mark.slow
class CompareTfmotTest(Scripts):
    def test_tfmot_prunes_the_same_network(self):
        pytest.importorskip("tflite_micro")
        file = self.create_tempfile(
            "python", WITHOUT_TFMOT.format(python=sys.executable)
        )
        os.chmod(file.full_path, 0o755)
        flags = f"--tfmot_python={file.full_path}", "--method=dense,tfmot"
        _, metrics = self.check("compare_tfmot", *flags)
        dense, pruned = metrics["rows"]
        self.assertEqual(pruned["method"], "tfmot")
        self.assertEqual(pruned["params"], dense["params"])


@pytest.mark.slow
class CompareCriteriaTest(Scripts):
    def test_several_seeds_and_budgets(self):
        flags = "--seed=0,1", "--macs=0.5,0.25"
        folder, metrics = self.check("compare_criteria", *flags)
        text = (folder.parent / "table.md").read_text()
        dense = {row["seed"]: row["dense"] for row in metrics["rows"]}
        mean = sum(dense.values()) / 2
        self.assertIn(f"Dense: {mean:.2%} ({min(dense.values()):.2%} to", text)
        self.assertRegex(
            text,
            r"Random is in place [12] of 2 at (50.0 %, .* 25.0 %|25.0 %, .* "
            r"50.0 %)\.",
        )
        lines = [x for x in text.splitlines() if "%" in x and x[0] == "|"]
        means = [float(line.split("|")[3].split("%")[0]) for line in lines]
        self.assertEqual(means, sorted(means, reverse=True))


@pytest.mark.slow
class LabTest(Scripts):
    def test_a_lab_that_is_killed_goes_on(self):
        folder, plot = self.folder(), self.folder().with_name("lab.png")
        flags = ("--smoke", f"--out={folder}", f"--plot={plot}")
        process = start("lab_minicifar", *flags)
        first = folder / "dense-seed0.json"
        for _ in range(600):
            if first.exists():
                break
            time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        written = first.stat().st_mtime_ns
        run("lab_minicifar", *flags, "--resume")
        self.assertEqual(first.stat().st_mtime_ns, written)
        with open(folder / "rows.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        found = [(row["method"], row["budget"]) for row in rows]
        budgets = [(m, b) for b in ("0.5", "0.25") for m in ("str", "l1")]
        self.assertCountEqual(found, [("dense", ""), *budgets])
        self.assertEqual(plot.read_bytes()[1:4], b"PNG")


if __name__ == "__main__":
    absltest.main()
