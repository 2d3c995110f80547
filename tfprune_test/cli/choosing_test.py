"""The commands that help to choose: `criteria` and `sensitivity`."""

import json
import os
from unittest import mock

import numpy as np

from tfprune.scoring import criterion as criterion_lib
from tfprune_test.cli import program_test


class CriteriaTest(program_test.CliTestCase):
    def test_every_criterion_is_listed(self):
        with mock.patch.dict(os.environ, COLUMNS="300"):
            text = self.succeed("criteria")
        lines = text.splitlines()
        names = [line.split()[0] for line in lines[2:]]
        self.assertEqual(names, criterion_lib.criteria.names())
        self.assertIn("inputs and labels", text)

    def test_the_list_is_json_too(self):
        rows = json.loads(self.succeed("criteria", "--format=json"))
        self.assertEqual(rows[0]["criterion"], "apoz")
        self.assertEqual(
            set(rows[0]), {"criterion", "paper", "data", "cost", "year"}
        )


class SensitivityTest(program_test.CliTestCase):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(0)
        self.data = self.folder / "data.npz"
        np.savez(
            self.data,
            x=rng.normal(size=(40, 8, 8, 1)).astype("float32"),
            y=rng.integers(0, 3, 40),
        )

    def test_a_row_for_each_group(self):
        picture = self.folder / "curves.png"
        text = self.succeed(
            "sensitivity",
            self.dense,
            f"--data={self.data}",
            "--ratios=0.25,0.5",
            "--format=markdown",
            f"--plot={picture}",
        )
        self.assertIn("| group | channels | -25% | -50% |", text)
        self.assertIn("| stem | 8 |", text)
        self.assertTrue(picture.exists())

    def test_numbers_have_a_metric(self):
        x = np.zeros((4, 8, 8, 1), "float32")
        np.savez(self.data, x=x, y=np.full((4, 3), 2.5))
        rest = (self.dense, f"--data={self.data}", "--ratios=0.5")
        self.assertIn("--metric=", self.refused("sensitivity", *rest))
        name = "neg_mean_absolute_error"
        text = self.succeed("sensitivity", *rest, f"--metric={name}")
        self.assertIn(f"{name} of net with one group pruned; full", text)
        self.assertNotIn("%", text.splitlines()[-1])

    def test_the_curves_are_json_too(self):
        text = self.succeed(
            "sensitivity",
            self.dense,
            f"--data={self.data}",
            "--ratios=0.5",
            "--format=json",
        )
        (point,) = json.loads(text)["points"]
        self.assertEqual((point["kept"], point["channels"]), (4, 8))

    def test_wrong_ratios_and_missing_data_are_one_line(self):
        line = self.refused(
            "sensitivity", self.dense, f"--data={self.data}", "--ratios=1.5"
        )
        self.assertIn("floats in [0, 1)", line)
        line = self.refused("sensitivity", self.dense)
        self.assertIn("--data must name a .npz file", line)
