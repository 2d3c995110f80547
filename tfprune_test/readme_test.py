"""The README: its examples run, its commands exist, its numbers are written."""

import configparser
import contextlib
import io
import json
import os
import pathlib
import re
import tempfile

import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.cli import commands
from tools import source_tree
from tools import write_readme

DEMO = {
    "settings": {
        "data": "digits",
        "images": {"train": 3, "validation": 2, "test": 1},
        "seed": 7,
        "epochs": 5,
        "tune_epochs": 6,
        "machine": "Linux x86_64, 2 cores",
        "versions": {"keras": "3.15.1"},
    },
    "nets": {
        "dense": {
            "test accuracy, float32": 0.75,
            "parameters": 900,
            "MACs": 4000,
            "float32 file bytes": 3000,
        },
        "compressed": {
            "MACs": 1000,
            "int8 flash, measured": 500,
            "test accuracy, int8 on TFLite Micro": 0.7,
        },
    },
}
PLATFORMS = """
|  | `cpu` | `jax` | `export` | `tflite-micro` |
| :-- | :-- | :-- | :-- | :-- |
| Linux | 3.11 | 3.11 | 3.11 | 3.11 |
| macOS | 3.11 | 3.11 | 3.11 | - |
| Windows | 3.11 | - | 3.11 | - |
| old | - | 3.11 | - | - |
| none | - | - | 3.11 | 3.11 |
"""


def readme():
    return (source_tree.ROOT / "README.md").read_text()


class ReadmeTest(parameterized.TestCase):
    @pytest.mark.slow
    def test_the_examples_run_one_after_the_other(self):
        pytest.importorskip("tflite_micro", reason="Linux on x86-64 only")
        pytest.importorskip("sklearn")
        text = readme()
        examples = re.findall(r"```python\n(.*?)```", text, re.S)
        self.assertLen(examples, 3)
        printed = io.StringIO()
        names = {}
        folder = self.enter_context(tempfile.TemporaryDirectory())
        with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
            for code in examples:
                # As they stand, but for the time that they train.
                short = re.sub(r"epochs=\d+", "epochs=1", code)
                short = short.replace("6 epochs", "1 epoch")
                exec(compile(short, "README.md", "exec"), names)
            self.assertTrue(os.path.exists("firmware/model.cc"))
        shown = re.search(r"```text\n(.*?)```", text, re.S)[1]
        self.assertEqual(
            *(
                [
                    re.split(r"  +", line)[0].strip("─")
                    for line in table.splitlines()[: shown.count("\n")]
                ]
                for table in (shown, printed.getvalue())
            )
        )

    def test_the_first_screen_is_short(self):
        code = re.search(r"```python\n(.*?)```", readme(), re.S)[1]
        lines = [line for line in code.splitlines() if line.strip()]
        self.assertLessEqual(len(lines), 13)

    def test_what_it_tells_of_others_stands_in_the_page_of_sources(self):
        page = (source_tree.ROOT / write_readme.PEERS).read_text()
        table = write_readme.peers(page)
        self.assertIn(f"\n{table}\n", readme())
        self.assertNotIn("[", table)

    def test_every_cell_about_others_has_a_source(self):
        page = (source_tree.ROOT / write_readme.PEERS).read_text()
        sources = set(re.findall(r"^(\d+)\. ", page, re.M))
        self.assertEqual(set(re.findall(r" \[(\d+)\]", page)), sources)

    def test_what_it_links_to_is_there(self):
        links = re.findall(r"\]\(([^)#]+)[^)]*\)", readme())
        self.assertGreater(len(links), 10)
        for link in links:
            self.assertTrue((source_tree.ROOT / link).exists(), link)

    def test_every_command_is_shown(self):
        for command in commands.COMMANDS:
            self.assertIn(f"    tfprune {command.name} ", readme())

    def test_every_published_row_has_its_command(self):
        folder = source_tree.ROOT / "examples"
        rows = re.findall(
            r'^    "(\w+)": Row\($',
            (folder / "published_rows.py").read_text(),
            re.M,
        )
        text = (folder / "README.md").read_text()
        self.assertEqual(re.findall(r"--row=(\w+)`", text), rows)

    def test_every_example_is_listed(self):
        folder = source_tree.ROOT / "examples"
        text = (folder / "README.md").read_text()
        for path in folder.glob("[!_]*.py"):
            name = re.sub(r"^record_.*", "record_*.py", path.name)
            self.assertIn(f"`{name}`", text)

    def test_every_extra_is_listed(self):
        config = configparser.ConfigParser(delimiters=("=",))
        config.read(source_tree.ROOT / "setup.cfg")
        listed = re.findall(r"^\| (`.*?) \|", readme(), re.M)
        listed = re.findall(r"`(\w+)`", " ".join(listed))
        extras = set(config["options.extras_require"]) - {"docs", "browser"}
        self.assertEqual(set(listed), extras)

    def test_no_measured_number_stands_outside_of_the_blocks(self):
        text = readme()
        for name in write_readme.BLOCKS:
            text = write_readme.filled(text, name, "")
        self.assertEmpty(re.findall(r"\d %|\d+\.\d+x|\d,\d{3}", text))


class WriteReadmeTest(parameterized.TestCase):
    def test_the_demo_tells_how_its_numbers_came_about(self):
        text = write_readme.demo(DEMO)
        for part in (
            "| test accuracy, float32 | 75.00 % | - |",
            "| MACs | 4,000 | 1,000 |",
            "| float32 file bytes | 3,000 | - |",
            "| int8 flash, measured | - | 500 |",
            "3 images to train, 2 to validate, 1 to test",
            "Seed 7, 5 epochs, then 6 of the smaller net. keras 3.15.1; Linux",
        ):
            self.assertIn(part, text)

    def test_the_result_is_one_line(self):
        line = write_readme.result(DEMO)
        self.assertIn(
            "multiply-adds −75 %, flash 3,000 → 500 bytes (float32 → int8), "
            "accuracy 75.0 % → 70.0 %**, on 1 test images",
            line,
        )
        self.assertNotIn("\n", line)

    def test_records_stand_beside_what_was_published(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "one").mkdir()
            metrics = {
                "title": "A network",
                "published": {"accuracy": 0.9, "source": "a paper"},
                "test_accuracy": 0.9125,
                "params": 1234,
                "macs": 56789,
                "epochs": 3,
                "seed": 4,
            }
            (folder / "one/metrics.json").write_text(json.dumps(metrics))
            text = write_readme.records(folder)
        self.assertIn(
            "| A network | 90.00% (a paper) | 91.25% | 1,234 | 56,789 | 3, 4 |",
            text,
        )

    @pytest.mark.skipif(
        not (source_tree.ROOT / "records").exists(), reason="no records here"
    )
    def test_the_records_are_those_of_the_folder(self):
        found = write_readme.records(source_tree.ROOT / "records")
        self.assertIn(found, readme())

    def test_what_runs_where_follows_from_the_wheels(self):
        text = write_readme.platforms(PLATFORMS)
        for line in (
            "| Linux | yes | yes | yes |",
            "| macOS | yes | yes | no; RAM is predicted |",
            "| Windows | yes | yes | no; RAM is predicted |",
            "| old | on JAX, 3.11 | no | no |",
            "| none | no | no | no |",
            "C sources hold what TFLite Micro's interpreter computes, which "
            "has wheels for Linux. On macOS and Windows files are exported "
            "without it, and the RAM is predicted.",
        ):
            self.assertIn(line, text.splitlines())

    def test_the_platforms_are_those_of_the_page(self):
        page = (source_tree.ROOT / write_readme.PLATFORMS).read_text()
        self.assertIn(f"\n{write_readme.platforms(page)}\n", readme())

    def test_an_example_is_run_for_what_it_prints(self):
        text = "```python\nprint(6 * 7)\n```\n```python\n1 / 0\n```\n"
        self.assertEqual(write_readme.first(text), "```text\n42\n```")

    def test_only_what_is_between_the_marks_changes(self):
        text = "a\n<!-- demo:begin -->\nold\n<!-- demo:end -->\nb\n"
        once = write_readme.filled(text, "demo", "new")
        self.assertEqual(once, text.replace("old", "new"))
        self.assertEqual(write_readme.filled(once, "demo", "new"), once)

    @parameterized.parameters(
        "",
        "<!-- demo:begin -->",
        "<!-- demo:end --><!-- demo:begin -->",
    )
    def test_marks_in_disorder_are_refused(self, text):
        with self.assertRaisesRegex(ValueError, "<!-- demo:end -->"):
            write_readme.filled(text, "demo", "new")


if __name__ == "__main__":
    absltest.main()
