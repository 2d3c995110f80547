"""`tfprune compress` and `tfprune boards`."""

import json
import os
from unittest import mock

import keras
import numpy as np
import pytest
from absl.testing import parameterized

import tfprune
from tfprune.core import boards
from tfprune_test.cli import program_test
from tfprune_test.pipeline import small_tasks


class BoardsTest(program_test.CliTestCase):
    def test_every_board_is_listed(self):
        with mock.patch.dict(os.environ, COLUMNS="300"):
            lines = self.succeed("boards").splitlines()
        names = [line.split()[0] for line in lines[2:]]
        self.assertEqual(names, boards.names())

    def test_the_list_is_json_with_its_sources(self):
        rows = json.loads(self.succeed("boards", "--format=json"))
        self.assertEqual(rows[0]["ram_kib"], 256)
        self.assertIn("ABX00031", rows[0]["source"])


class CompressTest(program_test.CliTestCase):
    def setUp(self):
        super().setUp()
        train = small_tasks.blobs(120, 0)
        small_tasks.classifier(train, epochs=4).save(self.dense)
        self.data = []
        for name, seed in (("train", 0), ("validation", 1)):
            x, y = small_tasks.blobs(120, seed)
            path = self.folder / f"{name}.npz"
            np.savez(path, x=x, y=y)
            self.data.append(f"--{name}={path}")
        self.out = self.folder / "out"

    @pytest.mark.slow  # A whole run.
    def test_a_folder_with_the_network_and_both_in_a_table(self):
        text = self.succeed(
            *("compress", self.dense, *self.data, f"--out={self.out}"),
            *("--macs=0.5", "--epochs=1", "--noexport"),
        )
        for part in ("before", "MACs", "accuracy, float32", "report.html"):
            self.assertIn(part, text)
        small = keras.models.load_model(self.out / "model.keras")
        self.assertLess(small.count_params(), 371)
        facts = json.loads((self.out / "result.json").read_text())
        self.assertTrue(facts["fits"])
        again = self.succeed(
            *("compress", self.dense, *self.data, f"--out={self.out}"),
            *("--macs=0.5", "--epochs=1", "--noexport", "--format=json"),
        )
        self.assertEqual(json.loads(again)["after"], facts["after"])

    @pytest.mark.slow  # A whole run.
    def test_input_sizes_that_the_model_leaves_open(self):
        known = keras.models.load_model(self.dense)
        inputs = keras.Input((None, 2))
        mean = keras.layers.GlobalAveragePooling1D()(inputs)
        model = keras.Model(inputs, known(mean))
        model.compile(loss=known.loss, metrics=["accuracy"])
        model.save(self.dense)
        for flag in self.data:
            path = flag.partition("=")[2]
            with np.load(path) as data:
                x, y = data["x"], data["y"]
            np.savez(path, x=np.stack([x, x], 1), y=y)
        words = "compress", self.dense, *self.data, f"--out={self.out}"
        words += "--macs=0.5", "--epochs=1"
        self.assertIn("--input_shape", self.refused(*words))
        self.succeed(*words, "--input_shape=2,2")
        small = keras.models.load_model(self.out / "model.keras")
        self.assertEqual(small.input_shape, (None, 2, 2))

    @parameterized.parameters(
        ((), r"--board, a budget \(--macs, .*, --image_bytes\) .*: none"),
        (("--board=nano33",), "Similar: nano-33-ble"),
        (("--macs=0.5", "--max_loss=1"), "a budget and --max_loss"),
        (("--macs=0.5", "--ram_share=0.5"), "--ram_share needs --board"),
        (("--macs=0.5", "--train=no.npz"), "no.npz"),
        (("--macs=0.5", "--validation="), "--validation must name data"),
        (("--macs=0.5", "--teacher=no.keras"), "no.keras"),
        (("--macs=0.5", "--out="), "--out=FOLDER"),
        (("--macs=0.5", "--monitor=auc"), "monitor='auc'"),
    )
    def test_one_line_tells_what_is_wrong(self, flags, text):
        line = self.refused(
            *("compress", self.dense, *self.data, f"--out={self.out}"),
            *("--noexport", *flags),
        )
        self.assertRegex(line, text)

    def test_a_teacher_may_be_a_folder_of_keras_2(self):
        teacher = self.folder / "teacher"
        teacher.mkdir()
        (teacher / "saved_model.pb").touch()
        found = []

        def read(path, values):
            del values
            found.append(path)
            raise ValueError("enough")

        with mock.patch("tfprune.cli.actions.load", read):
            line = self.refused(
                *("compress", self.dense, *self.data, f"--out={self.out}"),
                *("--macs=0.5", "--noexport", f"--teacher={teacher}"),
            )
        self.assertEqual(
            (line, found), ("tfprune compress: enough\n", [self.dense])
        )

    def test_an_interrupted_run_resumes(self):
        def stopped(*args, **kwargs):
            self.out.with_name("out.part").mkdir()
            raise KeyboardInterrupt

        with mock.patch.object(tfprune, "compress", stopped):
            code, _, line = self.tfprune(
                *("compress", self.dense, *self.data, f"--out={self.out}"),
                *("--macs=0.5", "--noexport"),
            )
        self.assertEqual(code, 130)
        self.assertIn("interrupted; the same command resumes.", line)

    def test_a_folder_may_end_in_a_slash(self):
        out = f"--out={self.out}/"
        self.out.with_name("out.part").mkdir()
        flags = (*self.data, out, "--macs=0.5")
        line = self.refused("compress", self.dense, *flags, "--noresume")
        self.assertIn("out.part holds a stopped run", line)

    def test_a_run_that_was_stopped_is_not_begun_anew(self):
        self.out.with_name("out.part").mkdir()
        line = self.refused(
            *("compress", self.dense, *self.data, f"--out={self.out}"),
            *("--macs=0.5", "--noexport", "--noresume"),
        )
        self.assertIn("resume it", line)


if __name__ == "__main__":
    program_test.absltest.main()
