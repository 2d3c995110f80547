"""Stages that are finished stay finished."""

import json
import os

import keras
import numpy as np
from absl.testing import absltest

from tfprune.graph import values
from tfprune.recipes import stages


def net(value):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.layers[0].kernel.assign(np.full((2, 1), value))
    return model


class StagesTest(absltest.TestCase):
    def test_without_a_folder_nothing_is_kept(self):
        work = stages.Stages(None)
        self.assertFalse(work.load("a", net(0.0)))
        work.save("a", net(1.0))
        self.assertFalse(work.load("a", net(0.0)))
        self.assertEmpty(work.callbacks("a"))

    def test_a_stage_gives_back_what_it_left(self):
        folder = os.path.join(self.create_tempdir(), "new", "folder")
        work = stages.Stages(folder, epochs=(1, 2))
        self.assertFalse(work.load("a", net(0.0), rate=0.1))
        work.save("a", net(3.0))
        self.assertCountEqual(os.listdir(folder), ["a.npz", "a.json"])
        found = net(0.0)
        again = stages.Stages(folder, epochs=(1, 2))
        self.assertTrue(again.load("a", found, rate=0.1))
        np.testing.assert_array_equal(
            values.numpy(found.layers[0].kernel), [[3.0], [3.0]]
        )

    def test_a_stage_of_bfloat16(self):
        def make(value):
            dense = keras.layers.Dense(1, dtype="bfloat16")
            model = keras.Sequential([keras.Input((2,)), dense])
            dense.kernel.assign(np.full((2, 1), value))
            return model

        folder = self.create_tempdir().full_path
        work = stages.Stages(folder)
        work.load("a", make(0.0))
        work.save("a", make(3.0))
        found = make(0.0)
        self.assertTrue(stages.Stages(folder).load("a", found))
        kernel = values.numpy(found.layers[0].kernel)
        np.testing.assert_array_equal(kernel, [[3.0], [3.0]])

    def test_a_stage_without_its_record_is_not_finished(self):
        folder = self.create_tempdir().full_path
        work = stages.Stages(folder)
        work.load("a", net(0.0))
        work.save("a", net(3.0))
        os.unlink(os.path.join(folder, "a.json"))
        self.assertFalse(stages.Stages(folder).load("a", net(0.0)))

    def test_settings_of_earlier_stages_count_for_later_ones(self):
        folder = self.create_tempdir().full_path
        work = stages.Stages(folder, seed=0)
        work.load("a", net(0.0), rate=0.1)
        work.save("a", net(1.0))
        work.load("b", net(0.0), ratio=0.5)
        work.save("b", net(2.0))
        with open(os.path.join(folder, "b.json")) as file:
            found = json.load(file)
        del found["sha256 of the weights"]
        self.assertEqual(found, {"seed": 0, "rate": 0.1, "ratio": 0.5})
        with self.assertRaisesRegex(ValueError, "'a' differs in rate"):
            stages.Stages(folder, seed=0).load("a", net(0.0), rate=0.2)
        backups = {
            stages.Stages(folder, seed=seed).callbacks("a")[0].backup_dir
            for seed in (0, 1)
        }
        self.assertLen(backups, 2)

    def test_a_damaged_stage_is_done_again(self):
        for name, damage in (
            ("a.npz", lambda data: data[: len(data) // 2]),
            ("a.npz", lambda data: data[:90] + b"\xff" + data[91:]),
            ("a.npz", lambda data: b""),
            ("a.json", lambda data: data[:5]),
            ("a.json", lambda data: b""),
        ):
            folder = self.create_tempdir().full_path
            work = stages.Stages(folder)
            work.load("a", net(0.0))
            work.save("a", net(3.0))
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                data = damage(file.read())
            with open(path, "wb") as file:
                file.write(data)
            model = net(0.0)
            with self.assertLogs("absl", "WARNING"):
                self.assertFalse(stages.Stages(folder).load("a", model))
            self.assertEqual(values.numpy(model.layers[0].kernel)[0, 0], 0.0)

    def test_a_stage_is_kept_before_its_backup_goes(self):
        folder = self.create_tempdir().full_path
        work = stages.Stages(folder)
        model = net(0.0)
        model.compile("sgd", "mse")
        work.load("a", model)
        x = np.ones((4, 2))
        model.fit(x, x[:, :1], verbose=0, callbacks=work.callbacks("a"))
        self.assertLen(os.listdir(folder), 1)
        work.save("a", model)
        self.assertCountEqual(os.listdir(folder), ["a.npz", "a.json"])
