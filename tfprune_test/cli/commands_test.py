import importlib
import inspect
import re

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.cli import commands

NAMES = [command.name for command in commands.COMMANDS]


class CommandsTest(parameterized.TestCase):
    def test_each_name_is_one_word_and_there_once(self):
        self.assertLen(set(NAMES), len(NAMES))
        for name in NAMES:
            self.assertRegex(name, "^[a-z]+$")

    @parameterized.parameters(*NAMES)
    def test_what_it_runs_is_there_and_takes_what_it_is_given(self, name):
        (command,) = (c for c in commands.COMMANDS if c.name == name)
        module, _, function = command.run.partition(":")
        run = getattr(importlib.import_module(module), function)
        inspect.signature(run).bind("paths", "values", "given")
        inspect.signature(command.check).bind("paths", "values")

    @parameterized.parameters(*NAMES)
    def test_its_flags_do_not_clash_and_its_examples_are_its_own(self, name):
        (command,) = (c for c in commands.COMMANDS if c.name == name)
        values = flags.FlagValues()
        for define in command.define:
            define(values)  # A flag that is there already is an error.
        for line in re.sub(r"\\\n\s*", "", command.examples).split("\n"):
            if line.strip():
                self.assertStartsWith(line, f"tfprune {name}")

    @parameterized.parameters(
        ("inspect", ["a.keras"], True),
        ("inspect", ["a.tflite"], False),
        ("compare", ["a.keras", "b.tflite"], True),
        ("compare", ["a.tflite", "b.tflite"], False),
        ("inspect", ["a.TFLITE"], True),
        ("boards", [], False),
        ("criteria", [], False),
    )
    def test_which_need_keras(self, name, paths, expected):
        (command,) = (c for c in commands.COMMANDS if c.name == name)
        self.assertEqual(command.needs_keras(paths), expected)


if __name__ == "__main__":
    absltest.main()
