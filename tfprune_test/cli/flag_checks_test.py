"""Whatever flags say is checked before a model is read."""

import pathlib
import sys
import types
from unittest import mock

import numpy as np
from absl import logging
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.cli import commands
from tfprune.cli import flag_checks
from tfprune.cli import program
from tfprune_test.cli import program_test


class ChecksTest(program_test.CliTestCase):
    LINES = (
        ("inspect {dense} --picture=a.png", "--picture must end in one of"),
        ("inspect {dense} --modules=no_such_module", "--modules must name"),
        ("inspect {dense} --input_shape=8,-8,1", "Positive sizes"),
        ("inspect {folder}/none.keras", "There must be a file"),
        ("strip {dense}", "--out=FILE must say"),
        ("strip {dense} --out={dense}", "must not be overwritten"),
        ("compare {dense} {folder}/no.keras", "There must be a file"),
        ("compare {dense} {dense} --data={x}", "arrays x and y"),
        ("compare {dense} {dense} --data={odd}", "as many x as y"),
        ("sensitivity {dense} --data={xy} --ratios=0.5,1", "floats in"),
        ("sensitivity {dense} --data={xy} --criterion=l9", "--criterion=l9"),
        ("sensitivity {dense} --data={xy} --plot=a.gif", "--plot must end"),
        ("prune {dense} {out} --macs=0.5 --target=pc", "--target=pc"),
        ("prune {dense} {out} --macs=0.5 --plot=a.gif", "--plot must end"),
        ("prune {dense} {out} --macs=0.5 --criterion=taylor", "--data must"),
        ("prune {dense} {out} --ratio=0.5 --ranking=raw", "--ranking applies"),
        (
            "prune {dense} {out} --macs=0.5 --target=xnnpack "
            "--channel_multiple=4",
            "--target sets the channel multiple",
        ),
        ("prune {dense} {out} --ratio=nan", "--ratio=nan"),
        ("prune {dense} {out} --macs=nan", "--macs=nan"),
        ("prune {dense} {out} --macs=-3", "--macs=-3"),
        (
            "compress {dense} --train={xy} --validation={xy} --board=pico",
            "--out",
        ),
        ("search {dense} {out} --data={xy}", "A budget is required"),
        ("search {dense} {out} --macs=0.5", "--data must name"),
        (
            "search {dense} {out} --data={xy} --reward=flops --strategy=greedy",
            "A budget is required",
        ),
        (
            "search {dense} {out} --data={xy} --macs=0.5 --evaluations=0",
            "--evaluations=0",
        ),
        (
            "search {dense} {out} --data={xy} --macs=0.5 --trials=no/a.json",
            "folder of the file",
        ),
        (
            "search {dense} {out} --data={xy} --macs=0.5 --recalibrate={dense}",
            "file of numbers",
        ),
        (
            "search {dense} {out} --data={xy} --macs=0.5 --trials={dense}",
            "--trials={dense}, which is the model as well",
        ),
        (
            "search {dense} {out} --data={xy} --macs=0.5 --trials={xy}",
            "--trials={xy}, which is --data as well",
        ),
        (
            "search {dense} {out} --data={xy} --macs=0.5 --recalibrate={x} "
            "--trials={x}",
            "--trials={x}, which is --recalibrate as well",
        ),
        (
            "search {dense} {out} --data={xy} --macs=0.5 "
            "--trials={folder}/./small.keras",
            "which is --out as well",
        ),
        (
            "search {dense} {out} --data={xy} --macs=0.5 "
            "--checkpoint={folder}/a.json --trials={folder}/a.json",
            "which is --checkpoint as well",
        ),
        ("export {dense} --out={folder}/a.bin", "--out must end in .tflite"),
        ("export {dense} {file} --quantize=int8", "needs --calibration"),
        ("export {dense} {file} --calibration={x}", "--calibration is for"),
        ("export {dense} {file} --interface=int8", "--interface must be"),
        ("export {dense} {file} --ranges={dense}", "--ranges is for"),
        ("export {dense} {file} --vela=ethos-u55-64", "--quantize=float32"),
        ("export {dense} {file} --arena_margin=0.2", "--arena_margin needs"),
        ("export {dense} {file} --ram_bytes=0", "--ram_bytes=0"),
        (
            "export {dense} {file} --sparse=auto --compress=auto",
            "Use one of them",
        ),
    )

    def setUp(self):
        parameterized.TestCase.setUp(self)
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.addCleanup(logging.set_verbosity, logging.get_verbosity())
        self.dense = str(self.folder / "dense.keras")
        self.small = str(self.folder / "small.keras")
        # No more than its name is looked at.
        pathlib.Path(self.dense).touch()

    @parameterized.parameters(*LINES)
    def test_the_model_is_not_read(self, line, message):
        x = np.zeros((3, 8, 8, 1), "float32")
        names = ("x.npy", "xy.npz", "odd.npz")
        array, pair, odd = (self.folder / name for name in names)
        np.save(array, x)
        np.savez(pair, x=x, y=np.arange(3))
        np.savez(odd, x=x, y=np.arange(2))
        names = {"dense": self.dense, "folder": self.folder, "x": array}
        words = line.format(
            **names,
            out=f"--out={self.small}",
            file=f"--out={self.folder}/a.tflite",
            xy=pair,
            odd=odd,
        ).split()
        late = AssertionError("Keras would have been imported by now")
        with mock.patch.object(program, "_import_everything", side_effect=late):
            told = message.format(**names, xy=pair)
            self.assertIn(told, self.refused(*words))

    def test_every_command_is_among_the_lines(self):
        named = {line.split()[0] for line, _ in self.LINES}
        needed = {c.name for c in commands.COMMANDS if not c.light}
        self.assertEqual(named, needed)

    def test_board_and_firmware_want_each_other(self):
        file = f"--out={self.folder}/a.tflite"
        micro = f"--micro={self.folder}/c"
        for flags, message in (
            (("--flash_bytes=9",), "need --micro or --compress"),
            (("--labels=a,b",), "--labels needs --micro"),
            (("--core=cortex-m4",), "--core=cortex-m4 alone"),
            (("--project=arduino",), "--project=arduino alone"),
            (("--image_bytes=9",), "--image_bytes=9 alone"),
            (("--plan_memory",), "--plan_memory needs --micro"),
            (
                (micro, "--project=arduino", "--dense_scales=channel"),
                "--project=arduino and --dense_scales=channel",
            ),
            (
                ("--vela=ethos-u55-64", "--compress=auto"),
                "Vela cannot read compressed weights",
            ),
        ):
            line = self.refused("export", self.dense, file, *flags)
            self.assertIn(message, line)

    def test_a_file_is_no_keras_model(self):
        path = self.folder / "a.tflite"
        path.touch()
        for flag in ("--html=a.html", "--input_shape=8", "--allow_lambda"):
            line = self.refused("inspect", path, flag)
            name = flag.partition("=")[0]
            self.assertIn(f"{name} is for a Keras model, not for", line)

    def test_modules_in_this_folder(self):
        (self.folder / "of_checks_test.py").touch()
        values = types.SimpleNamespace(modules=["of_checks_test.part"])
        with mock.patch.object(sys, "path", list(sys.path)):
            with mock.patch.object(
                flag_checks.os, "getcwd", return_value=str(self.folder)
            ):
                self.assertEqual(flag_checks.models([self.dense], values), {})
                values.modules = ["of_no_test"]
                with self.assertRaisesRegex(ImportError, "Received: of_no_te"):
                    flag_checks.models([self.dense], values)


if __name__ == "__main__":
    absltest.main()
