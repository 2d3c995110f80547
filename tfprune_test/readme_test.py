"""The README: its examples run, its commands exist, its numbers are written."""

import contextlib
import os
import re
import tempfile

import keras
import numpy as np
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
            "float32 file bytes": 30,
        },
    },
}
SPEED = {
    "Net": {"analysis": 0.25, "prune": 1.125, "memory": 0.75},
    "growth": {"exponent_layers": 1.0, "exponent_channels": 0.5},
    "limits": {"analysis": 0.3, "prune": 1.3, "memory": 2.2},
    "versions": {"keras": "3.15.1"},
    "machine": "Linux x86_64, 2 cores",
}


def readme():
    return (source_tree.ROOT / "README.md").read_text()


def a_classifier():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(4, activation="softmax")(x))
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


class ReadmeTest(parameterized.TestCase):
    def test_the_examples_run(self):
        pytest.importorskip("tflite_micro", reason="Linux on x86-64 only")
        examples = re.findall(r"```python\n(.*?)```", readme(), re.S)
        self.assertLen(examples, 5)
        rng = np.random.default_rng(0)
        names = {
            "images": rng.normal(size=(64, 8, 8, 3)).astype("float32"),
            "labels": rng.integers(0, 4, 64),
        }
        names["test_images"] = names["images"]
        names["test_labels"] = names["labels"]
        folder = self.enter_context(tempfile.TemporaryDirectory())
        with contextlib.chdir(folder), open(os.devnull, "w") as nowhere:
            model = a_classifier()
            model.fit(names["images"], names["labels"], verbose=0)
            model.save("model.keras")
            model.save("old.h5")
            os.mkdir("firmware")
            with contextlib.redirect_stdout(nowhere):
                for code in examples:
                    exec(compile(code, "README.md", "exec"), names)
            self.assertTrue(os.path.exists("firmware/model.cc"))

    def test_every_command_is_shown(self):
        for command in commands.COMMANDS:
            self.assertIn(f"    tfprune {command.name} ", readme())

    def test_no_measured_number_stands_outside_of_the_blocks(self):
        text = readme()
        for name in write_readme.BLOCKS:
            text = write_readme.filled(text, name, "")
        self.assertEmpty(re.findall(r"\d %|\d+\.\d+x|\d,\d{3}", text))


class WriteReadmeTest(parameterized.TestCase):
    def test_the_demo_tells_how_its_numbers_came_about(self):
        text = write_readme.demo(DEMO)
        for part in (
            "| test accuracy, float32 | 75.00 % |",
            "| MACs | 4,000 |",
            "| float32 file bytes | 30 |",
            "| int8 flash, measured | - |",
            "3 images to train, 2 to validate, 1 to test",
            "Seed 7, 5 epochs, then 6 of the smaller net. keras 3.15.1; Linux",
        ):
            self.assertIn(part, text)

    def test_the_speed_is_told_beside_its_goal(self):
        text = write_readme.speed(SPEED)
        self.assertIn("| Net | 0.25 | 1.12 | 0.75 |", text)
        self.assertIn("| goal | 0.30 | 1.30 | 2.20 |", text)
        self.assertIn("layers^1.00 and as channels^0.50", text)

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
