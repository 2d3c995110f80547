"""The README: its example runs, its commands exist, its numbers are written."""

import contextlib
import json
import os
import pathlib
import re
import tempfile

import pytest
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.cli import commands
from tools import source_tree
from tools import write_readme

FACTS = {
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
        "dense": {"accuracy": 0.75, "macs": 4000},
        "int8": {"accuracy": 0.5, "macs": 1000, "arena_bytes": 12},
    },
}


def readme():
    return (source_tree.ROOT / "README.md").read_text()


class ReadmeTest(parameterized.TestCase):
    def test_the_example_runs(self):
        pytest.importorskip("tflite_micro", reason="Linux on x86-64 only")
        (code,) = re.findall(r"```python\n(.*?)```", readme(), re.S)
        code = code.replace("epochs=10)", "epochs=1, verbose=0)")
        folder = self.enter_context(tempfile.TemporaryDirectory())
        with contextlib.chdir(folder), open(os.devnull, "w") as nowhere:
            with contextlib.redirect_stdout(nowhere):
                exec(compile(code, "README.md", "exec"), {})
            self.assertTrue(
                {"small.keras", "small.tflite", "model.cc", "model.h"}
                <= set(os.listdir())
            )

    def test_every_verb_is_there(self):
        rows = re.findall(r"^\| `(\w+)\(", readme(), re.M)
        self.assertGreater(len(rows), 5)
        for name in rows:
            self.assertTrue(hasattr(tfprune, name), name)

    def test_every_command_is_shown(self):
        for command in commands.COMMANDS:
            self.assertIn(f"    tfprune {command.name} ", readme())

    def test_no_number_stands_outside_of_the_markers(self):
        text = readme()
        head, rest = text.split(write_readme.BEGIN)
        outside = head + rest.partition(write_readme.END)[2]
        self.assertEmpty(re.findall(r"\d %|\d+\.\d+x|\d{2,}% ", outside))


class WriteReadmeTest(parameterized.TestCase):
    def test_the_block_tells_how_the_numbers_came_about(self):
        text = write_readme.block(FACTS).replace("\n", " ")
        for part in (
            "| accuracy | 75.00 % | 50.00 % |",
            "| MACs | 4,000 | 1,000 |",
            "| arena bytes | - | 12 |",
            "3 train, 2 validation, 1 test images; seed 7, 5 epochs and 6 of",
            "Linux x86_64, 2 cores. Versions: keras 3.15.1.",
        ):
            self.assertIn(part, text)

    def test_only_what_is_between_the_markers_changes(self):
        text = f"a\n{write_readme.BEGIN}\nold\n{write_readme.END}\nb\n"
        once = write_readme.filled(text, "new\n")
        self.assertEqual(once, text.replace("old", "new"))
        self.assertEqual(write_readme.filled(once, "new\n"), once)

    @parameterized.parameters(
        "",
        write_readme.BEGIN,
        write_readme.END + write_readme.BEGIN,
        write_readme.BEGIN + write_readme.END * 2,
        write_readme.BEGIN * 2 + write_readme.END,
    )
    def test_markers_in_disorder_are_refused(self, text):
        with self.assertRaisesRegex(ValueError, "<!-- demo:end -->"):
            write_readme.filled(text, "new")

    def test_the_readme_is_filled_from_the_report(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        copy, report = folder / "README.md", folder / "report.json"
        copy.write_text(readme())
        arguments = [f"--readme={copy}", f"--report={report}"]
        self.assertEqual(write_readme.main(arguments), 1)
        report.write_text(json.dumps(FACTS))
        self.assertEqual(write_readme.main(arguments), 0)
        self.assertIn("| arena bytes | - | 12 |", copy.read_text())
        self.assertTrue(copy.read_text().startswith("# tfprune\n"))


if __name__ == "__main__":
    absltest.main()
