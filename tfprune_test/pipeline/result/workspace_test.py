import json
import pathlib
import subprocess
import sys
import types
from unittest import mock

import keras
import numpy as np
from absl.testing import absltest

from tfprune.core.files import locks
from tfprune.pipeline.result import workspace


class WorkspaceTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.out = self.folder / "result"
        self.settings = {"model": "a", "seed": 1, "sizes": (1, 2)}

    def space(self, **changes):
        return workspace.Workspace(self.out, self.settings | changes)

    def publish(self, space):
        final = space.final()
        text = json.dumps({"key": self.settings})
        (final / workspace.RESULT).write_text(text)
        space.publish()

    def test_a_later_run_knows_what_is_done(self):
        space = self.space()
        self.assertIsNone(space.get("search"))
        self.assertEqual(space.spent, 0.0)
        space.put("search", {"kept": [1, 2]}, spent=12.5)
        space.put("tune", 3)
        again = self.space()
        self.assertEqual(again.get("search"), {"kept": [1, 2]})
        self.assertEqual(again.get("tune"), 3)
        self.assertEqual(again.spent, 12.5)
        self.assertFalse(again.finished)

    def test_what_is_cut_short_is_not_known_to_a_later_run(self):
        space = self.space()
        space.clock = types.SimpleNamespace(stopped=False)
        space.put("search", 1)
        space.clock.stopped = True
        space.put("tune", 2)
        self.assertEqual(space.get("tune"), 2)
        again = self.space()
        self.assertEqual(again.get("search"), 1)
        self.assertIsNone(again.get("tune"))

    def test_other_settings_do_not_go_on_with_it(self):
        self.space().put("search", 1)
        with self.assertRaisesRegex(
            ValueError, "result.part', which differs in more, seed. Choose"
        ):
            self.space(seed=2, more=True)
        self.assertEqual(self.space().get("search"), 1)

    def test_what_differs_is_called_as_the_arguments_are(self):
        self.space(wish={"macs": "0.5"}, by_time=True)
        with self.assertRaisesRegex(ValueError, "in board, macs, minutes. Ch"):
            self.space(wish={"board": "'pico'"}, by_time=False)

    def test_the_result_is_there_whole_or_not_at_all(self):
        space = self.space()
        final = space.final()
        (final / "model").write_text("half of it")
        self.assertFalse(self.out.exists())
        again = self.space()
        self.assertFalse((again.part / "final").exists())
        self.publish(again)
        self.assertEqual(
            [path.name for path in self.out.iterdir()], [workspace.RESULT]
        )
        self.assertFalse(again.part.exists())
        self.assertTrue(self.space().finished)

    def test_a_finished_run_of_other_settings_is_left_alone(self):
        self.publish(self.space())
        with self.assertRaisesRegex(ValueError, "differs in seed"):
            self.space(seed=2)
        self.assertTrue((self.out / workspace.RESULT).exists())

    def test_what_a_killed_run_left_beside_its_result_goes(self):
        self.publish(self.space())
        part = self.folder / "result.part"
        part.mkdir()
        (part / "journal.json").write_text("{}")
        self.assertTrue(self.space().finished)
        self.assertFalse(part.exists())

    def test_what_another_process_finishes_meanwhile_is_the_result(self):
        other = self.space()
        other._lock.release()
        take = workspace.Workspace._take

        def late(space):
            self.publish(other)
            take(space)

        with mock.patch.object(workspace.Workspace, "_take", late):
            self.assertTrue(self.space().finished)
        self.assertFalse((self.folder / "result.part").exists())

    @absltest.skipIf(locks.fcntl is None, "This system knows no locks.")
    def test_two_processes_do_not_work_in_one_folder(self):
        part = self.folder / "result.part"
        part.mkdir()
        holds = (
            "import fcntl, sys; file = open(sys.argv[1], 'w');"
            "fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-S", "-c", holds, part / "lock"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other:
            other.stdout.readline()
            with self.assertRaisesRegex(
                RuntimeError, "folder of its own. .*result', which another pro"
            ):
                self.space()
            other.communicate(b"\n")
        self.publish(self.space())
        self.assertTrue(self.space().finished)

    def test_an_empty_folder_is_taken(self):
        self.out.mkdir()
        self.publish(self.space())
        self.assertTrue(self.space().finished)

    def test_a_working_folder_of_something_else_is_not_deleted(self):
        part = self.folder / "result.part"
        part.mkdir()
        (part / "notes").write_text("mine")
        with self.assertRaisesRegex(
            FileExistsError, "result.part', which holds notes. Choose another"
        ):
            self.space()
        part.rename(self.folder / "mine")
        self.publish(self.space())
        (self.folder / "mine").rename(part)
        self.assertTrue(self.space().finished)
        self.assertEqual((part / "notes").read_text(), "mine")

    def test_a_result_of_something_else_is_not(self):
        self.out.mkdir()
        (self.out / workspace.RESULT).write_text('{"accuracy": 0.9}')
        with self.assertRaisesRegex(
            FileExistsError, "which holds result.json. Choose another"
        ):
            self.space()

    def test_a_folder_of_something_else_is_not(self):
        self.out.mkdir()
        for name in "dcba":
            (self.out / name).write_text("mine")
        with self.assertRaisesRegex(
            FileExistsError, "which holds a, b, c. Choose another"
        ):
            self.space()
        self.assertLen(list(self.out.iterdir()), 4)
        self.assertFalse((self.folder / "result.part").exists())

    def test_a_folder_in_none(self):
        self.out = self.folder / "none" / "result"
        with self.assertRaises(FileNotFoundError):
            self.space()

    def test_files_beside_the_journal(self):
        path = self.space().path("points/1.keras")
        self.assertEqual(path, self.folder / "result.part/points/1.keras")
        path.write_text("it can be written")

    def test_weights_there_and_back(self):
        variables = [
            keras.Variable([[1.5, 2]]),
            keras.Variable([3], dtype="int32"),
            keras.Variable([0.1, 7], dtype="bfloat16"),
        ]
        model = types.SimpleNamespace(variables=variables)
        before = [np.array(v.numpy(), float) for v in variables]
        space = self.space()
        space.save_weights("round1", model)
        for variable in variables:
            variable.assign(variable * 0)
        space.load_weights("round1", model)
        for variable, value in zip(variables, before, strict=True):
            np.testing.assert_array_equal(
                np.array(variable.numpy(), float), value
            )


if __name__ == "__main__":
    absltest.main()
