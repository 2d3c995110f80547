"""The command: what needs no Keras imports none, what does is quiet."""

import json
import os
import pathlib
import subprocess
import sys
from unittest import mock

import keras
import pytest
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.cli import choices
from tfprune.cli import program
from tfprune.reports import catalogue
from tfprune_test.cli import program_test
from tools import source_tree
from tools import write_choices

HEAVY = ("keras", "tensorflow", "jax", "torch", "matplotlib")
RUN = """
import sys, tfprune_command
sys.argv = ["tfprune", *{words}]
status = tfprune_command.main()
print(status, *{{m.split(".")[0] for m in sys.modules}}, file=sys.stderr)
"""


def run(script, **environment):
    """Runs Python in a process of its own, without settings for logs."""
    env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=source_tree.ROOT,
        env=env | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def command(*words, **environment):
    """Runs a command: its status, stdout, lines of stderr, and modules."""
    result = run(RUN.format(words=list(map(str, words))), **environment)
    *lines, last = result.stderr.splitlines()
    status, *modules = last.split()
    return int(status), result.stdout, lines, set(modules)


class ModuleTest(absltest.TestCase):
    def test_the_package_is_the_command_too(self):
        result = subprocess.run(
            [sys.executable, "-m", "tfprune", "criteria"],
            cwd=source_tree.ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("taylor", result.stdout)
        # As quiet, and as fast, as the script.
        self.assertEqual(result.stderr, "")


class LightTest(parameterized.TestCase):
    @parameterized.parameters(
        (("--help",), 0),
        (("--version",), 0),
        (("prune", "--help"), 0),
        (("criteria",), 0),
        (("criteria", "--format=json"), 0),
        (("prun", "a.keras"), 1),
        (("criteria", "a.keras"), 1),
        (("prune", "a.keras", "--macs=2.5"), 1),
        (("inspect", "nowhere.keras"), 1),
        (("inspect", "setup.cfg"), 1),
        (("search", "a.keras", "--strategy=luck"), 1),
    )
    def test_no_backend_is_imported(self, words, expected):
        status, out, errors, modules = command(*words)
        self.assertEqual(status, expected)
        self.assertEqual(bool(out), not expected)
        self.assertLen(errors, expected)
        self.assertIn("tfprune", modules)
        self.assertEmpty(modules & set(HEAVY))

    def test_a_tflite_file_is_read_without_keras(self):
        path = pathlib.Path(self.create_tempdir().full_path, "a.tflite")
        path.write_bytes(b"no model")
        status, _, errors, modules = command("inspect", path)
        self.assertEqual(status, 1)
        self.assertIn("A TFLite model is required", errors[0])
        self.assertIn("ai_edge_litert", modules)
        self.assertEmpty(modules & set(HEAVY))


class HeavyTest(absltest.TestCase):
    def test_a_command_that_needs_keras_is_quiet(self):
        path = pathlib.Path(self.create_tempdir().full_path, "net.keras")
        program_test.net().save(path)
        # TensorFlow reports this switch whatever the level of its logs is.
        status, out, errors, modules = command(
            "inspect", path, TF_ENABLE_ONEDNN_OPTS="1"
        )
        self.assertEqual((status, errors), (0, []))
        self.assertIn("stem", out)
        self.assertIn("keras", modules)

    def test_a_missing_backend_is_one_line(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        program_test.net().save(folder / "net.keras")
        hide = "import sys; sys.modules['tensorflow'] = None\n"
        words = ["inspect", str(folder / "net.keras")]
        result = run(hide + RUN.format(words=words), KERAS_BACKEND="tensorflow")
        error, last = result.stderr.splitlines()
        self.assertEqual(last.split()[0], "1")
        self.assertIn('pip install "tfprune[cpu]"', error)

    @pytest.mark.slow  # Two processes that import Keras.
    def test_saved_models_load_after_a_mere_import(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        model = tfprune.wrap(program_test.net(), tfprune.methods.Masked())
        model.save(folder / "wrapped.keras")
        result = run(
            "import tfprune, keras\n"
            f"keras.saving.load_model({str(folder / 'wrapped.keras')!r})\n"
            "print('loaded')"
        )
        self.assertEqual(result.stdout, "loaded\n", result.stderr)


class ChoicesTest(absltest.TestCase):
    def test_they_are_those_of_the_library(self):
        self.assertEqual(write_choices.main(["--check"]), 0, "make build-files")

    def test_the_criteria_are_the_registered_ones(self):
        self.assertEqual(choices.CRITERIA, catalogue.criteria().rows)


class OutputTest(program_test.CliTestCase):
    """What is written of results, errors and warnings."""

    def test_errors_of_the_library_speak_of_flags(self):
        out = f"--out={self.small}"
        line = self.refused("prune", self.dense, "--macs=9", out)
        self.assertIn("Received: --macs=9, which allows --macs=9;", line)
        line = self.refused(
            "prune", self.dense, "--macs=0.5", "--skip=nowhere", out
        )
        self.assertIn("Every pattern of --skip must match", line)

    @pytest.mark.slow  # A process that imports Keras.
    def test_warnings_are_one_line(self):
        inputs = keras.Input((6,))
        x = keras.layers.Dense(8, name="a")(inputs)
        x = keras.layers.Dense(3)(keras.layers.LayerNormalization()(x))
        keras.Model(inputs, x).save(self.dense)
        status, out, errors, _ = command(
            *("prune", self.dense, "--channels=0.5", f"--out={self.small}"),
            "--allow_inexact",
        )
        self.assertEqual(status, 0, errors)
        (line,) = errors
        self.assertStartsWith(line, "tfprune prune: warning: Normalizations")

    def test_tables_fit_the_terminal(self):
        with mock.patch.dict(os.environ, COLUMNS="50"):
            text = self.succeed("inspect", self.dense, "--layers")
        self.assertLessEqual(max(map(len, text.splitlines())), 50)
        with mock.patch.dict(os.environ, COLUMNS="200"):
            wide = self.succeed("inspect", self.dense, "--layers")
        self.assertGreater(max(map(len, wide.splitlines())), 50)

    def test_help_of_a_command_has_two_names(self):
        self.assertEqual(
            self.succeed("help", "prune"), self.succeed("prune", "--help")
        )

    def test_an_interrupt_is_one_line(self):
        with mock.patch.object(
            program, "_outcome", side_effect=KeyboardInterrupt
        ):
            status, out, error = self.tfprune("inspect", self.dense)
        self.assertEqual((status, out), (130, ""))
        self.assertEqual(error.count("\n"), 1)

    def test_layers_come_when_they_are_asked_for(self):
        text = self.succeed("inspect", self.dense)
        self.assertNotIn("Conv2D", text)
        self.assertIn("Conv2D", self.succeed("inspect", self.dense, "--layers"))
        facts = json.loads(self.succeed("inspect", self.dense, "--format=json"))
        self.assertNotEmpty(facts["layers"])


if __name__ == "__main__":
    absltest.main()
