"""The command line: what it reads, writes, prints, and how it fails."""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import types
import unittest
from unittest import mock

import keras
import numpy as np
import pytest
from absl import logging
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.cli import actions
from tfprune.cli import commands
from tfprune.cli import program
from tfprune.core import boards
from tfprune.costs import counting
from tfprune.export.file import model_file
from tfprune.export.micro.arena import arena_need
from tfprune.graph import read
from tfprune.legacy import loading
from tfprune.selection import cut as cut_lib
from tfprune.surgery import shrinking
from tfprune_test.legacy import old_files
from tools import source_tree


def net(last="linear"):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    y = keras.layers.Conv2D(8, 3, padding="same", name="branch")(x)
    x = keras.layers.Add()([x, y])
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(3, activation=last, name="logits")(x)
    return keras.Model(inputs, outputs, name="net")


# What Keras logs of files with the ending .h5.
HDF5 = ("No training configuration found", "You are saving your model as")


class CliTestCase(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.addCleanup(logging.set_verbosity, logging.get_verbosity())
        self.model = net()
        self.dense = str(self.folder / "dense.keras")
        self.small = str(self.folder / "small.keras")
        self.model.save(self.dense)

    def tfprune(self, *arguments):
        """Runs a command; returns `(status, stdout, stderr)`."""
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out):
            with contextlib.redirect_stderr(error):
                status = program.main(["tfprune", *map(str, arguments)])
        return status, out.getvalue(), error.getvalue()

    def succeed(self, *arguments, warned=()):
        """Runs a command that warns of nothing else; returns its stdout."""
        status, out, error = self.tfprune(*arguments)
        self.assertEqual((status, self.unexpected(error, warned)), (0, ""))
        return out

    def unexpected(self, error, warned):
        """The lines of stderr without those that hold one of the texts."""
        return "".join(
            line
            for line in error.splitlines(keepends=True)
            if not any(f": warning: {text}" in line for text in warned)
        )

    def refused(self, *arguments, warned=()):
        """Runs a command that must fail; returns its line on stderr."""
        before = sorted(os.listdir(self.folder))
        status, out, error = self.tfprune(*arguments)
        error = self.unexpected(error, warned)
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(error.count("\n"), 1, error)
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        return error


class SearchTest(CliTestCase):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(0)
        x = rng.normal(size=(32, 8, 8, 1)).astype("float32")
        y = np.asarray(self.model(x)).argmax(-1)
        self.data = self.folder / "val.npz"
        np.savez(self.data, x=x, y=y)

    def search(self, *arguments):
        return (
            *("search", self.dense, f"--data={self.data}", "--macs=0.5"),
            *("--strategy=greedy", "--evaluations=4", *arguments),
        )

    def test_the_best_model_is_written_and_compared(self):
        trials = self.folder / "trials.json"
        out = self.succeed(
            *self.search(
                f"--out={self.small}",
                f"--recalibrate={self.data}",
                f"--reconstruct={self.data}",
                f"--trials={trials}",
                "--format=json",
            )
        )
        found = json.loads(out)
        small = keras.saving.load_model(self.small)
        self.assertEqual(found["search"], json.loads(trials.read_text()))
        macs = counting.cost(small).macs
        self.assertLessEqual(macs, 0.5 * counting.cost(self.model).macs)
        best = max(found["search"]["trials"], key=lambda t: t["reward"])
        self.assertEqual(best["macs"], macs)

    @parameterized.parameters(
        (False, "nothing was written."), (True, "the same command resumes.")
    )
    def test_ctrl_c_says_what_is_left(self, is_begun, told):
        checkpoint = self.folder / "search.json"

        def stopped(*args, **kwargs):
            if is_begun:
                checkpoint.write_text("{}")
            raise KeyboardInterrupt

        flags = f"--out={self.small}", f"--checkpoint={checkpoint}"
        with mock.patch.object(tfprune, "search", stopped):
            status, _, error = self.tfprune(*self.search(*flags))
        self.assertEqual(status, 130)
        self.assertEqual(error, f"tfprune search: interrupted; {told}\n")

    def test_input_sizes_that_the_model_leaves_open(self):
        inputs = keras.Input((None, None, 1))
        x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
        x = keras.layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, keras.layers.Dense(3)(x))
        model.save(self.dense)
        out = f"--out={self.small}"
        self.assertIn("--input_shape", self.refused(*self.search(out)))
        self.succeed(*self.search(out, "--input_shape=8,8,1"))
        small = keras.saving.load_model(self.small)
        self.assertEqual(small.input_shape, (None, None, None, 1))
        self.assertLess(small.count_params(), model.count_params())

    def test_what_is_missing_is_said_before_anything_is_written(self):
        out = f"--out={self.small}"
        self.assertIn(
            "--data must name a .npz file",
            self.refused("search", self.dense, "--macs=0.5", out),
        )
        self.assertIn(
            "A budget is required: --macs, --params",
            self.refused("search", self.dense, f"--data={self.data}", out),
        )
        self.assertIn(
            "luck", self.refused(*self.search(out, "--strategy=luck"))
        )


class StreamsTest(parameterized.TestCase):
    @parameterized.parameters("cp1252", "ascii", "utf-8")
    def test_letters_that_stdout_lacks_are_written_in_ascii(self, encoding):
        raw = io.BytesIO()
        out = io.TextIOWrapper(raw, encoding)
        with contextlib.redirect_stdout(out):
            self.assertEqual(program.main(["tfprune", "boards"]), 0)
        lines = raw.getvalue().decode(encoding).splitlines()
        # Titles may take several lines, if the window is narrow.
        self.assertIn({"─" if encoding == "utf-8" else "-"}, map(set, lines))

    def test_a_process_without_stdout(self):
        with contextlib.redirect_stdout(None):
            self.assertEqual(program.main(["tfprune", "boards"]), 0)

    @pytest.mark.slow  # A process of its own.
    @unittest.skipIf(os.name == "nt", "Windows has another shell")
    def test_a_process_without_stderr(self):
        path = pathlib.Path(self.create_tempdir().full_path, "net.keras")
        net().save(path)
        words = f"-m tfprune.cli inspect {path} --format=json"
        result = subprocess.run(
            f"{sys.executable} {words} 2>&-",
            shell=True,
            cwd=source_tree.ROOT,
            capture_output=True,
        )
        self.assertEqual(result.returncode, 0)
        self.assertEqual(json.loads(result.stdout)["model"], "net")

    @parameterized.parameters(
        (("prune", "none.keras"), 1), (("boards",), 0), (("--version",), 0)
    )
    def test_a_reader_that_has_gone_leaves_the_status(self, words, wanted):
        reads, writes = os.pipe()
        os.close(reads)
        with open(writes, "w") as gone:
            with contextlib.redirect_stdout(gone):
                with contextlib.redirect_stderr(gone):
                    status = program.main(["tfprune", *words])
        self.assertEqual(status, wanted)

    def test_a_reader_of_warnings_that_has_gone_stops_no_work(self):
        def work(*_):
            for number in range(9):
                logging.warning("warning %d", number)
            return "done\n"

        command = dataclasses.replace(commands.COMMANDS[-1], run="work")
        reads, writes = os.pipe()
        os.close(reads)
        out = io.StringIO()
        with mock.patch.object(program.pkgutil, "resolve_name") as resolved:
            resolved.return_value = work
            with open(writes, "w") as gone:
                with contextlib.redirect_stdout(out):
                    with contextlib.redirect_stderr(gone):
                        status = program._run(command, [])
        self.assertEqual((status, out.getvalue()), (0, "done\n"))


class HelpTest(CliTestCase):
    def test_the_overview_names_every_command(self):
        text = self.succeed("--help")
        for command in commands.COMMANDS:
            self.assertIn(f"  {command.name} ", text)
        self.assertEqual(self.succeed("-h"), text)
        self.assertEqual(self.tfprune(), (1, text, ""))

    def test_the_first_tour_writes_where_it_starts(self):
        tour = self.succeed("--help").partition("A first tour:")[2]
        written = re.findall(r"--(?:out|micro)=(\S+)", tour)
        self.assertLen(written, 3)
        for path in written:
            self.assertEqual(os.path.dirname(path), "")  # Which exists.

    def test_help_of_a_command_that_does_not_exist(self):
        self.assertIn("must be one of inspect", self.refused("help", "shrink"))

    def test_flags_stand_as_they_are_defined_and_say_their_values(self):
        text = " ".join(self.succeed("compress", "--help").split())
        self.assertLess(text.index("--train "), text.index("--verbosity "))
        self.assertIn("One of micro, tflite, reference.", text)
        text = " ".join(self.succeed("export", "--help").split())
        self.assertIn("One of auto, reference, cmsis-nn, esp-nn.", text)
        self.assertIn("uint8 or float32. --sparse", text)

    @parameterized.parameters(*(c.name for c in commands.COMMANDS))
    def test_every_command_teaches(self, name):
        text = self.succeed(name, "--help")
        command = next(c for c in commands.COMMANDS if c.name == name)
        self.assertIn(command.summary, text)
        self.assertIn(f"\n  tfprune {name} ", text)
        self.assertIn("--format", text)
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        self.assertEqual(self.succeed(name, "-h"), text)

    @parameterized.parameters(*(c.name for c in commands.COMMANDS))
    def test_the_flags_of_the_examples_are_known(self, name):
        command = next(c for c in commands.COMMANDS if c.name == name)
        text = self.succeed(name, "--help")
        known = {
            line.split()[0].replace("[no]", "")
            for line in text.partition("Flags:")[2].splitlines()
            if line.strip().startswith("--")
        }
        used = {
            word.partition("=")[0]
            for word in command.examples.split()
            if word.startswith("--")
        }
        self.assertContainsSubset(used, known)

    @pytest.mark.slow  # A process of its own.
    def test_it_runs_as_a_module(self):
        result = subprocess.run(
            [sys.executable, "-m", "tfprune.cli", "--version"],
            cwd=source_tree.ROOT,
            env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3"),
            capture_output=True,
            text=True,
        )
        # On some processors TensorFlow says more than it was asked to.
        logged = re.compile(r"WARNING: All log messages before|[IW]\d{4} ")
        lines = result.stderr.splitlines()
        said = [line for line in lines if not logged.match(line)]
        self.assertEqual((result.returncode, said), (0, []))
        self.assertRegex(result.stdout, r"^tfprune \d+\.\d+\.\d+\n$")


class InspectTest(CliTestCase):
    def test_costs_and_groups_are_shown(self):
        text = self.succeed("inspect", self.dense)
        macs = counting.cost(self.model).macs
        self.assertRegex(text, rf"MACs +{macs:,}")
        self.assertRegex(text, r"stem, branch +branch, logits +8")
        self.assertRegex(text, r"its output \(the model\) +3")

    def test_json_is_for_machines(self):
        found = json.loads(self.succeed("inspect", self.dense, "--format=json"))
        self.assertEqual(found["model"], "net")
        self.assertEqual(found["totals"]["params"], self.model.count_params())
        free = [g for g in found["groups"] if not g["kept_because"]]
        self.assertEqual(
            free,
            [
                {
                    "made_by": ["stem", "branch"],
                    "read_by": ["branch", "logits"],
                    "kept_because": "",
                    "channels": 8,
                }
            ],
        )

    def test_markdown(self):
        text = self.succeed("inspect", self.dense, "--format=markdown")
        self.assertIn("| stem, branch | branch, logits |  | 8 |", text)

    def test_open_sizes_are_given(self):
        inputs = keras.Input((None, None, 3))
        x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
        x = keras.layers.Conv2D(2, 1)(x)
        path = self.folder / "open.h5"
        keras.Model(inputs, x).save(path)
        self.assertIn(
            "Costs need inputs of known",
            self.refused("inspect", path, warned=HDF5),
        )
        shape = "--input_shape=5,6,3"
        text = self.succeed("inspect", path, shape, warned=HDF5)
        self.assertRegex(text, rf"MACs +{5 * 6 * (9 * 3 * 4 + 4 * 2):,}")
        self.assertIn(
            "flag --input_shape=5xx: Sizes like",
            self.refused("inspect", path, "--input_shape=5xx"),
        )


class PruneTest(CliTestCase):
    @parameterized.parameters(".keras", ".h5")
    def test_the_written_model_meets_the_budget(self, suffix):
        dense = self.folder / f"copy{suffix}"
        self.model.save(dense)
        small = self.folder / f"small{suffix}"
        before = dense.read_bytes()
        warned = HDF5 if suffix == ".h5" else ()
        text = self.succeed(
            *("prune", dense, "--macs=50%", f"--out={small}"), warned=warned
        )
        found = counting.cost(keras.saving.load_model(small))
        self.assertLessEqual(found.macs, counting.cost(self.model).macs / 2)
        self.assertRegex(text, rf"MACs .*{found.macs:,} ")
        self.assertEqual(dense.read_bytes(), before)

    @parameterized.parameters(
        (["--channels=3"], 3),
        (["--channels=0.5"], 4),
        (["--channels=0.5", "--channel_multiple=3"], 3),
        (["--ratio=0.25"], 6),
        (["--channels=2", "--min_channels=2"], 2),
        (["--channels=3", "--criterion=l2", "--ranking=group"], 3),
    )
    def test_flags_are_those_of_the_library(self, arguments, kept):
        report = json.loads(
            self.succeed(
                "prune",
                self.dense,
                f"--out={self.small}",
                "--format=json",
                *arguments,
            )
        )
        self.assertEqual(report["totals"]["channels"]["after"], kept)
        loaded = keras.saving.load_model(self.small)
        self.assertEqual(loaded.get_layer("stem").filters, kept)

    def test_the_channels_that_go_are_those_of_the_library(self):
        self.succeed("prune", self.dense, "--channels=3", f"--out={self.small}")
        loaded = keras.saving.load_model(self.small)
        graph = read.channel_graph(self.model)
        keep = cut_lib.choose(graph, 0.6).keep
        kept = keep[graph.bound(self.model.get_layer("stem").kernel)[-1].labels]
        np.testing.assert_array_equal(
            loaded.get_layer("stem").kernel,
            np.asarray(self.model.get_layer("stem").kernel)[..., kept],
        )

    def test_criteria_that_look_at_data_get_them(self):
        path = self.folder / "train.npz"
        x = np.random.default_rng(0).normal(size=(20, 8, 8, 1))
        self.model.compile(loss="mse")
        np.savez(path, x=x.astype("float32"), y=np.arange(20) % 3)
        arguments = ["prune", self.dense, "--channels=4", "--criterion=hrank"]
        arguments.append(f"--out={self.small}")
        self.assertIn("--data must name", self.refused(*arguments))
        self.succeed(*arguments, f"--data={path}")

    def test_a_limit_of_the_file_and_its_code(self):
        whole = counting.Meter(read.channel_graph(self.model))
        limit = whole.image_bytes() - 500
        arguments = ["prune", self.dense, f"--image_bytes={limit}"]
        self.succeed(*arguments, f"--out={self.small}")
        small = keras.saving.load_model(self.small)
        found = counting.Meter(read.channel_graph(small)).image_bytes()
        self.assertLessEqual(found, limit)
        self.assertLess(small.count_params(), self.model.count_params())

    def test_a_picture_is_written(self):
        path = self.folder / "cut.png"
        arguments = ["prune", self.dense, "--macs=0.5", f"--out={self.small}"]
        self.assertIn(
            "must end in one of .png",
            self.refused(*arguments, f"--plot={self.folder}/cut.gif"),
        )
        self.succeed(*arguments, f"--plot={path}")
        self.assertEqual(path.read_bytes()[:4], b"\x89PNG")

    @parameterized.parameters(
        ("--macs=0.5", "--out=FILE must say"),
        ("--macs=0.5 --out={dense}", "must not be overwritten"),
        (
            "--macs=0.5 --out={folder}/../{folder.name}/dense.keras",
            "must not be overwritten",
        ),
        ("--macs=0.5 --out={folder}/none/a.keras", "folder of the file"),
        ("--macs=0.5 --out={folder}", "A file name is required"),
        ("--macs=0.5 --out={folder}/a.tflite", "ends in .keras or .h5"),
        ("--out={small}", "Either a budget .* Received: neither"),
        ("--out={small} --macs=0.5 --ratio=0.5", "Received: both"),
        ("--out={small} --macs=a", "--macs=a: A fraction .* or a count"),
        ("--out={small} --macs=1.5", r"--macs=1\.5: A fraction to keep of"),
        ("--out={small} --macs=10", "The budget must be within reach"),
        ("--out={small} --ratio=1", r"--ratio=1: A fraction .* in \[0, 1\)"),
        ("--out={small} --macs=0.5 --criterion=l3", "Unknown criterion"),
        (
            "--out={small} --macs=0.5 --ranking=x",
            "--ranking=x: value should be one of",
        ),
        ("--out={small} --macs=0.5 --skip=stem,zz", r"Received: \['zz'\]"),
        (
            "--out={small} --macs=0.5 --min_channels=0",
            "--min_channels=0: 0 is not a posi",
        ),
        ("--out={small} --macs=0.5 --data=none.npz", "There must be a file"),
        (
            "--out={small} --macs=0.5 --data={dense}",
            "file of numbers is needed",
        ),
        ("--out={small} --macs=0.5 --format=xml", "--format=xml"),
        ("--out={small} --mac=0.5", "Unknown command line flag 'mac'"),
        (
            "{small} --macs=0.5 --out={small}",
            "MODEL must be given, and nothing else",
        ),
    )
    def test_bad_input_is_one_line_and_leaves_nothing(self, line, message):
        words = line.format(
            dense=self.dense, small=self.small, folder=self.folder
        ).split()
        self.assertRegex(self.refused("prune", self.dense, *words), message)

    def test_a_failure_leaves_the_old_result(self):
        path = pathlib.Path(self.small)
        path.write_bytes(b"old")
        with mock.patch.object(os, "replace", side_effect=OSError("full")):
            error = self.refused(
                "prune", self.dense, "--macs=0.5", f"--out={path}"
            )
        self.assertEqual(error, "tfprune prune: full\n")
        self.assertEqual(path.read_bytes(), b"old")


class ModelFileTest(CliTestCase):
    @parameterized.parameters(".keras", ".h5")
    def test_what_is_no_model_is_refused(self, suffix):
        path = self.folder / f"bad{suffix}"
        self.assertIn("There must be a file", self.refused("inspect", path))
        path.write_bytes(b"no model")
        self.assertIn("must hold a Keras model", self.refused("inspect", path))

    def test_another_ending_is_refused(self):
        error = self.refused("inspect", self.folder / "a.onnx")
        self.assertIn("ends in .keras or .h5. Received:", error)

    def test_weights_that_are_nan_are_refused(self):
        kernel = self.model.get_layer("stem").kernel
        kernel.assign(np.full(kernel.shape, np.nan))
        self.model.save(self.dense)
        arguments = ["--macs=0.5", f"--out={self.small}"]
        error = self.refused("prune", self.dense, *arguments)
        self.assertIn("Finite weights are required", error)
        self.assertIn("finite", self.refused("strip", self.dense, arguments[1]))

    def test_a_model_with_an_unknown_loss_is_read(self):
        def odd(y, outputs):
            return keras.ops.mean(outputs - y)

        self.model.compile(loss=odd)
        self.model.save(self.dense)
        self.succeed("inspect", self.dense)

    def test_code_in_the_file_runs_only_if_allowed(self):
        inputs = keras.Input((4,))
        x = keras.layers.Lambda(lambda x: x * 2, output_shape=(4,))(inputs)
        path = self.folder / "lambda.keras"
        keras.Model(inputs, keras.layers.Dense(3)(x)).save(path)
        self.assertIn("must hold a Keras model", self.refused("inspect", path))
        self.succeed("inspect", path, "--allow_lambda")
        both = "--allow_lambda", "--isolated"
        self.assertIn("must not run code", self.refused("inspect", path, *both))

    @pytest.mark.slow  # A process of its own.
    def test_layers_of_the_user_come_from_a_module(self):
        source = (
            "import keras\n"
            "@keras.saving.register_keras_serializable('mine')\n"
            "class Twice(keras.layers.Layer):\n"
            "    def call(self, x):\n"
            "        return 2 * x\n"
        )
        (self.folder / "own_layers.py").write_text(source)
        path = self.folder / "own.keras"
        script = (
            "import keras, own_layers\n"
            "i = keras.Input((4,))\n"
            f"keras.Model(i, own_layers.Twice()(i)).save({str(path)!r})\n"
        )
        subprocess.run(
            [sys.executable, "-c", script], cwd=self.folder, check=True
        )
        self.assertIn("must hold a Keras model", self.refused("inspect", path))
        with contextlib.chdir(self.folder), mock.patch("sys.path", sys.path[:]):
            self.succeed("inspect", path, "--modules=own_layers")

    def test_a_module_need_not_register_what_it_defines(self):
        module = types.ModuleType("of_program_test")
        source = (
            "import keras\n"
            "class Halved(keras.layers.Layer):\n"
            "    def call(self, x):\n"
            "        return x / 2\n"
            "def cubed(x):\n"
            "    return x**3\n"
            "def relu(x):\n"  # not that of the layer below
            "    return 0 * x\n"
        )
        exec(source, vars(module))
        x = inputs = keras.Input((4,))
        for activation in ("relu", module.cubed):
            x = keras.layers.Dense(4, activation=activation)(x)
        path = self.folder / "own.keras"
        keras.Model(inputs, module.Halved()(x), name="own").save(path)
        error = self.refused("inspect", path)
        self.assertIn("--modules must name the module that defines", error)
        with mock.patch.dict(sys.modules, {module.__name__: module}):
            values = types.SimpleNamespace(
                modules=[module.__name__], allow_lambda=False, isolated=False
            )
            model = actions.load(str(path), values)
        self.assertIsInstance(model.layers[-1], module.Halved)
        self.assertIs(model.layers[2].activation, module.cubed)
        self.assertIs(model.layers[1].activation, keras.activations.relu)

    def test_verbosity_shows_where_an_error_comes_from(self):
        arguments = ["inspect", self.folder / "none.keras", "--verbosity=1"]
        status, _, error = self.tfprune(*arguments)
        self.assertEqual(status, 1)
        self.assertIn("Traceback", error)

    def test_an_error_of_another_kind_is_named(self):
        with mock.patch.object(
            loading, "load_model", side_effect=KeyError("x")
        ):
            error = self.refused("inspect", self.dense)
        self.assertIn("KeyError: 'x' (--verbosity=1 shows where)", error)

    def test_what_the_library_logs_is_one_line_like_an_error(self):
        status, _, error = self.tfprune(
            "strip", self.dense, f"--out={self.small}"
        )
        self.assertEqual(status, 0)
        (line,) = error.splitlines()
        self.assertStartsWith(line, "tfprune strip: warning: Nothing was")

    def test_keras_says_what_is_wrong_in_later_lines(self):
        text = (
            "Exception encountered when calling Dense.call().\n\n"
            "\x1b[1mInput 0 is incompatible.\x1b[0m\n\nArguments received:"
        )
        with mock.patch.object(
            loading, "load_model", side_effect=RuntimeError(text)
        ):
            error = self.refused("inspect", self.dense)
        self.assertEndsWith(error, ": Input 0 is incompatible.\n")

    def test_a_tilde_is_the_home_folder(self):
        out = "--out=~/small.keras"
        with mock.patch.dict(os.environ, HOME=str(self.folder)):
            self.succeed("prune", self.dense, "--macs=0.5", out)
        self.assertTrue(pathlib.Path(self.small).is_file())

    def test_an_unknown_command_is_refused(self):
        status, _, error = self.tfprune("shrink", "model.keras")
        self.assertEqual(status, 1)
        self.assertIn("one of inspect, compress, prune, strip, export", error)


class StripAndCompareTest(CliTestCase):
    def test_strip_takes_out_what_nobody_reads(self):
        graph = read.channel_graph(self.model)
        keep = cut_lib.choose(graph, 0.5).keep
        masked = shrinking.masked(cut_lib.Cut(graph, keep))
        masked.save(self.dense)
        self.succeed("strip", self.dense, f"--out={self.small}")
        small = keras.saving.load_model(self.small)
        self.assertEqual(
            small.count_params(), counting.cost(self.model, keep).params
        )
        x = np.random.default_rng(0).normal(size=(5, 8, 8, 1))
        np.testing.assert_allclose(small(x), masked(x), atol=1e-5)

    def test_compare_measures_the_accuracy(self):
        self.succeed("prune", self.dense, "--macs=0.5", f"--out={self.small}")
        x = np.random.default_rng(0).normal(size=(20, 8, 8, 1))
        y = np.asarray(self.model(x)).argmax(-1)
        data = self.folder / "test.npz"
        np.savez(data, x=x.astype("float32"), y=y)
        found = json.loads(
            self.succeed(
                "compare",
                self.dense,
                self.small,
                f"--data={data}",
                "--format=json",
            )
        )
        self.assertEqual(found["totals"]["accuracy"]["before"], 1.0)
        text = self.succeed("compare", self.dense, self.small)
        self.assertNotIn("accuracy", text)
        self.assertNotIn("8x8x8 -> ", text)
        layers = self.succeed("compare", self.dense, self.small, "--layers")
        self.assertStartsWith(layers, text)
        self.assertIn("8x8x8 -> ", layers)

    def test_pages_are_written(self):
        self.succeed("prune", self.dense, "--macs=0.5", f"--out={self.small}")
        x = np.random.default_rng(0).normal(size=(20, 8, 8, 1))
        y = np.asarray(self.model(x)).argmax(-1)
        data, page = self.folder / "test.npz", self.folder / "a b.html"
        np.savez(data, x=x.astype("float32"), y=y)
        self.succeed(
            "compare",
            self.dense,
            self.small,
            f"--data={data}",
            f"--html={page}",
        )
        text = page.read_text()
        self.assertIn("Confusion matrix, after", text)
        self.assertIn(f"tfprune compare {self.dense} {self.small} ", text)
        self.assertIn(f"'--html={page}'", text)
        shape = "--input_shape=8,8,1"
        self.succeed("inspect", self.small, f"--html={page}", shape)
        self.assertIn(shape, page.read_text("utf-8"))
        self.assertIn("tfprune inspect", page.read_text())
        error = self.refused("inspect", self.small, "--html=page.txt")
        self.assertIn(".html", error)

    def test_two_files_are_compared(self):
        self.assertIn(
            "DENSE and SMALL must be given", self.refused("compare", self.dense)
        )


class ExportTest(CliTestCase):
    def test_a_folder_of_another_model_is_refused_before_the_export(self):
        firmware = self.folder / "firmware"
        firmware.mkdir()
        (firmware / "model.h").write_text("unsigned char first_data[];")
        np.save(self.folder / "x.npy", np.zeros((2, 8, 8, 1), "float32"))
        with mock.patch.object(tfprune, "export_tflite") as called:
            error = self.refused(
                *("export", self.dense, f"--out={self.folder}/second.tflite"),
                *("--quantize=int8", f"--micro={firmware}"),
                f"--calibration={self.folder}/x.npy",
            )
        called.assert_not_called()
        self.assertIn(
            f"--micro='{firmware}', which holds 'first', with --out=second."
            "tflite. Pass another folder, or --out=first.tflite.",
            error,
        )

    @parameterized.parameters(
        ((), None),
        (("--board=nano-33-ble",), "tensor"),
        (("--project=arduino",), "tensor"),
        (("--board=nano-33-ble", "--project=zephyr"), None),
        (("--board=nano-33-ble", "--dense_scales=channel"), "channel"),
    )
    def test_dense_scales_that_the_board_reads(self, flags, expected):
        np.save(self.folder / "x.npy", np.zeros((2, 8, 8, 1), "float32"))
        with mock.patch.object(
            tfprune, "export_tflite", side_effect=ValueError("enough")
        ) as called:
            self.refused(
                *("export", self.dense, f"--out={self.folder}/a.tflite"),
                *("--quantize=int8", f"--micro={self.folder}/firmware"),
                *(f"--calibration={self.folder}/x.npy", *flags),
            )
        self.assertEqual(called.call_args.kwargs["dense_scales"], expected)

    def test_int8_and_sources_are_written(self):
        model = net("softmax")
        model.save(self.dense)
        images = self.folder / "images.npy"
        x = np.random.default_rng(0).normal(size=(20, 8, 8, 1))
        np.save(images, x.astype("float32"))
        out = self.folder / "model.tflite"
        found = json.loads(
            self.succeed(
                "export",
                self.dense,
                f"--out={out}",
                "--quantize=int8",
                f"--calibration={images}",
                f"--micro={self.folder}/firmware",
                "--format=json",
                warned=["No project is written for arduino"],
            )
        )
        self.assertEqual(found["file_bytes"], out.stat().st_size)
        self.assertEqual(found["ops"]["CONV_2D"], 2)
        settings = self.folder / "firmware" / "model_settings.h"
        self.assertIn(f"{found['arena_bytes']}\n", settings.read_text())
        self.assertIn("MODEL_ARENA_BYTES", settings.read_text())
        shown = self.succeed("inspect", out, "--layers")
        self.assertRegex(shown, rf"MACs +{counting.cost(model).macs:,}\n")
        self.assertRegex(shown, rf"file bytes +{out.stat().st_size:,}\n")
        self.assertRegex(shown, r"CONV_2D +2 ")
        steps = json.loads(self.succeed("inspect", out, "--format=json"))
        macs = [s["macs"] for s in steps["steps"] if s["name"] == "CONV_2D"]
        self.assertEqual(macs, [8 * 8 * 9 * 8, 8 * 8 * 9 * 8 * 8])
        weights = sum(step["weight_bytes"] for step in steps["steps"])
        self.assertBetween(weights, 9 * 8 * 9 + 3 * 8, found["file_bytes"])

    def sparse(self, model=None):
        """A model with zeros, and images with classes, as files."""
        model = net() if model is None else model
        rng = np.random.default_rng(0)
        for variable in model.trainable_variables:
            values = rng.normal(size=variable.shape)
            values[rng.random(values.shape) < 0.8] = 0
            variable.assign(values)
        model.save(self.dense)
        x = rng.normal(size=(30, 8, 8, 1)).astype("float32")
        np.save(self.folder / "images.npy", x)
        y = model.predict(x, verbose=0).argmax(-1)
        np.savez(self.folder / "test.npz", x=x, y=y)

    @pytest.mark.slow  # Exports twice.
    def test_zeros_are_compressed_and_the_file_is_measured(self):
        # Its zeros are worth more than the code that decodes them, and each
        # layer fits the arena.
        widths = (200, 150, 200, 3)
        dense = [keras.layers.Dense(width) for width in widths]
        self.sparse(
            keras.Sequential(
                [keras.Input((8, 8, 1)), keras.layers.Flatten(), *dense]
            )
        )
        out = self.folder / "model.tflite"
        found = json.loads(
            self.succeed(
                "export",
                self.dense,
                f"--out={out}",
                "--quantize=int8",
                f"--calibration={self.folder}/images.npy",
                f"--data={self.folder}/test.npz",
                "--compress=auto",
                "--ram_bytes=40000",
                f"--micro={self.folder}/firmware",
                "--labels=a,b,c",
                "--format=json",
                warned=["No project is written for arduino"],
            )
        )
        self.assertEqual(found["ops"]["TFLM_DECODE"], 4)
        self.assertLess(found["file_bytes"], 64 * 200 + 2 * 200 * 150)
        self.assertEqual(found["runtime"], "micro")
        self.assertGreater(found["accuracy"], 0.5)
        self.assertLessEqual(found["reserved_arena_bytes"], 40_000)
        model = (self.folder / "firmware" / "model.cc").read_text()
        self.assertIn("model_labels", model)

    def compressed(self, *flags):
        """What is written of a sparse model, its weights compressed."""
        return json.loads(
            self.succeed(
                *("export", self.dense, f"--out={self.folder}/model.tflite"),
                *("--quantize=int8", f"--micro={self.folder}/firmware"),
                f"--calibration={self.folder}/images.npy",
                *("--compress=auto", "--format=json", *flags),
                warned=["No project is written", "No weight is compressed"],
            )
        )

    @pytest.mark.slow  # Compresses a layer that is wider than the arena.
    def test_weights_are_compressed_within_the_memory_of_the_board(self):
        wide, last = keras.layers.Dense(2200), keras.layers.Dense(3)
        flat = keras.layers.Flatten()
        self.sparse(
            keras.Sequential([keras.Input((8, 8, 1)), flat, wide, last])
        )
        board = boards.get("nano-33-ble")
        # Decoded, it would not fit.
        self.assertGreater(64 * 2200, board.ram_bytes)
        found = self.compressed("--board=nano-33-ble")
        self.assertLess(found["arena_bytes"], board.ram_bytes)

    @pytest.mark.slow  # Exports twice.
    def test_weights_are_compressed_for_the_core(self):
        self.sparse()
        core = "--core=cortex-m0"
        need = self.compressed(core)["arena_bytes"]
        path = self.folder / "model.tflite"
        self.assertLess(need, arena_need.of(path).bytes)
        found = self.compressed(core, f"--ram_bytes={need}")
        self.assertEqual(found["arena_bytes"], need)

    @pytest.mark.slow  # Vela compiles.
    def test_an_npu_is_reported(self):
        pytest.importorskip("ethosu")
        self.sparse()
        text = self.succeed(
            "export",
            self.dense,
            f"--out={self.folder}/model.tflite",
            "--quantize=int8",
            f"--calibration={self.folder}/images.npy",
            "--vela=ethos-u55-128",
        )
        self.assertRegex(text, r"npu +ethos-u55-128")
        self.assertRegex(text, r"npu share of ops +100.00%")
        self.assertRegex(text, r"npu cycles +\d")

    def test_a_budget_that_fails_leaves_nothing(self):
        self.sparse()
        before = sorted(os.listdir(self.folder))
        self.assertRegex(
            self.refused(
                "export",
                self.dense,
                f"--out={self.folder}/model.tflite",
                f"--micro={self.folder}/firmware",
                "--ram_bytes=100",
            ),
            "must fit its budgets",
        )
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_float32_needs_nothing_else(self):
        out = self.folder / "model.tflite"
        text = self.succeed("export", self.dense, f"--out={out}")
        self.assertIn(f"{out.stat().st_size:,}", text)
        self.assertIn("2 CONV_2D", text)

    @parameterized.parameters(
        ("", "--out=FILE must say"),
        ("--out={dense}", "must not be overwritten"),
        ("--out={folder}/a.tflite --quantize=int8", "alibration"),
        ("--out={folder}/a.tflite --ram_bytes=9", "need --micro or --compr"),
        ("--out={folder}/a.tflite --labels=a,b", "--labels needs --micro"),
        (
            "--out={folder}/a.tflite --compress=auto --vela=ethos-u55-128",
            "Vela cannot read compressed weights",
        ),
        ("--out={folder}/a.tflite --quantize=int3", "--quantize=int3"),
        (
            "--out={folder}/a.tflite --quantize=int8 --calibration={folder}/b",
            "There must be a file",
        ),
    )
    def test_bad_input_is_one_line_and_leaves_nothing(self, line, message):
        words = line.format(dense=self.dense, folder=self.folder).split()
        self.assertRegex(self.refused("export", self.dense, *words), message)

    def test_ranges_of_a_model_that_trained_for_int8(self):
        old, out = self.folder / "qat.h5", self.folder / "model.tflite"
        rng = np.random.default_rng(0)
        kernel = rng.normal(size=(3, 2)).astype("float32")
        old_files.write_quantized(old, kernel, np.zeros(2, "float32"), 0, 12.75)
        layers = keras.Input((3,)), keras.layers.Dense(2, name="a")
        keras.Sequential(layers).save(self.dense)
        x = self.folder / "x.npy"
        np.save(x, rng.normal(size=(20, 3)).astype("float32"))
        rest = f"--out={out} --quantize=int8 --calibration={x}".split()
        self.succeed(
            *("export", self.dense, *rest, f"--ranges={old}"),
            warned=["Quantized outputs 'output_0' have an error"],
        )
        file = model_file.read(out)
        np.testing.assert_allclose(file.outputs[0].scale, 0.05, rtol=1e-6)
        error = self.refused(
            "export", self.dense, *rest, f"--ranges={self.dense}"
        )
        self.assertIn("holds no ranges", error)
        error = self.refused("export", self.dense, *rest, f"--ranges={old}s")
        self.assertIn("ends in .keras or .h5", error)

    def test_calibration_of_another_shape_is_refused(self):
        images = self.folder / "images.npy"
        np.save(images, np.zeros((20, 7, 8, 1), "float32"))
        error = self.refused(
            "export",
            self.dense,
            f"--out={self.folder}/a.tflite",
            "--quantize=int8",
            f"--calibration={images}",
        )
        self.assertIn("(20, 7, 8, 1)", error)


if __name__ == "__main__":
    absltest.main()
