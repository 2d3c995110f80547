import os
import pathlib
import subprocess
import sys
import time
import unittest
import warnings
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.core.processes import child
from tfprune.core.processes import worker

SCRIPT = """
import os, time
def prepare():
    pass
def handle(request):
    {handle}
"""


class WorkerTest(parameterized.TestCase):
    def script(self, handle):
        path = pathlib.Path(self.create_tempdir().full_path, "script.py")
        path.write_text(SCRIPT.format(handle=handle))
        return path

    def tearDown(self):
        worker.workers.stop()
        super().tearDown()

    def test_an_interrupted_request_is_given_up(self):
        script = self.script(
            "open(request, 'w').write(str(os.getpid())); time.sleep(60)"
        )
        path = pathlib.Path(self.create_tempdir().full_path, "pid")

        def interrupt(*_):
            while not (path.exists() and path.read_text()):
                time.sleep(0.01)
            raise KeyboardInterrupt

        process = worker.workers.get(str(script))
        with mock.patch.object(worker.threading.Event, "wait", interrupt):
            with self.assertRaises(KeyboardInterrupt):
                process.ask(
                    request=str(path),
                    answer=os.devnull,
                    log=os.devnull,
                    folder=".",
                )
        self.assert_gone(int(path.read_text()))

    @unittest.skipIf(os.name == "nt", "Windows has other groups")
    def test_ctrl_c_in_a_terminal_does_not_reach_it(self):
        process = worker.workers.get(str(self.script("pass")))
        self.assertNotEqual(os.getpgid(process.process_id), os.getpgrp())

    def test_all_end_with_a_parent_that_is_killed(self):
        script = self.script("print(os.getpid(), flush=True); time.sleep(60)")
        # The rest of the package would bring Keras.
        parent = (
            "import pathlib, sys, threading, types\n"
            "path = pathlib.Path(sys.argv[3])\n"
            "for name in ('tfprune', 'tfprune.core', sys.argv[4]):\n"
            "    room = sys.modules[name] = types.ModuleType(name)\n"
            "    room.__path__ = [str(path / name.replace('.', '/'))]\n"
            "from tfprune.core.processes import worker\n"
            "process = worker.workers.get(sys.argv[1])\n"
            "ask = lambda: process.ask(request=0, answer='/dev/null',\n"
            "    log=sys.argv[2], folder='.')\n"
            "threading.Thread(target=ask, daemon=True).start()\n"
            "print(process.process_id, flush=True)\n"
            "threading.Event().wait()\n"
        )
        log = pathlib.Path(self.create_tempdir().full_path, "log")
        root = pathlib.Path(child.__file__).parents[3]
        with subprocess.Popen(
            [
                *(sys.executable, "-c", parent, str(script), str(log), root),
                worker.__package__,
            ],
            stdout=subprocess.PIPE,
        ) as killed:
            started = int(killed.stdout.readline())
            while not (log.exists() and log.read_text()):
                time.sleep(0.01)
            killed.kill()
        self.assert_gone(started)
        self.assert_gone(int(log.read_text()))

    def assert_gone(self, process):
        for _ in range(500):
            status = pathlib.Path(f"/proc/{process}/status")
            if not status.exists() or "State:\tZ" in status.read_text():
                return
            time.sleep(0.01)
        self.fail(f"{process} still runs")

    def test_a_program_that_does_not_start_is_named(self):
        with self.assertRaisesRegex(
            OSError,
            "must start. Received: /no/such/program, which did not: .*No such",
        ):
            worker.Worker(["/no/such/program"], {})

    def test_one_that_has_ended_takes_no_request(self):
        process = worker.Worker(
            [sys.executable, "-S", "-c", "print('{\"number\": 7}')"], {}
        )
        process._keeper.join(30)
        self.assertFalse(process.is_running)
        self.assertTrue(process.is_idle)
        self.assertIsNone(process.ask(request=1))

    @unittest.skipUnless(hasattr(os, "fork"), "Windows has no forks")
    def test_a_fork_after_one_has_ended_forgets_the_others_too(self):
        ended = worker.workers.get(str(self.script("pass")))
        worker.workers.get(str(self.script("return 1")))
        ended.stop()
        with warnings.catch_warnings():
            # Newer Pythons warn of threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if not process:
            # It is set when all of them are forgotten.
            os._exit(len(vars(worker.workers).get("_inherited", ())))
        _, status = os.waitpid(process, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 2)

    def test_its_log_is_there_when_it_has_ended(self):
        process = worker.Worker(
            [sys.executable, "-S", "-c", "raise SystemExit('no luck')"], {}
        )
        process._keeper.join(30)
        self.assertEqual(process.log, b"no luck\n")

    def test_the_exit_code_where_it_ended_with_a_request_at_hand(self):
        program = "import os; input(); os._exit(9)"
        process = worker.Worker([sys.executable, "-S", "-c", program], {})
        self.assertEqual(process.ask(request=1), 9)

    def test_one_that_ends_idly_as_the_request_comes_took_none(self):
        program = "input()"
        process = worker.Worker([sys.executable, "-S", "-c", program], {})
        self.assertIsNone(process.ask(request=1))


class Quick:
    """Stands in for a `Worker`: no process, and nobody asks it anything."""

    def __init__(self, command, environment):
        self.command, self.environment = command, environment
        self.is_idle = self.is_running = True
        self.forgotten = False

    def stop(self):
        self.is_running = False

    def forget(self):
        self.forgotten = True


class WorkersTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.enter_context(mock.patch.object(worker, "Worker", Quick))
        self.workers = worker.Workers()

    def test_there_is_one_for_each_script(self):
        one, other = self.workers.get("one"), self.workers.get("other")
        self.assertIsNot(one, other)
        self.assertIs(self.workers.get("one"), one)
        self.assertIn("one", one.command)
        self.assertEqual(one.command[-1], str(os.getpid()))

    def test_it_sees_no_gpu(self):
        found = self.workers.get("one").environment
        self.assertEqual(found["CUDA_VISIBLE_DEVICES"], "-1")
        self.assertEqual(found["PATH"], os.environ["PATH"])

    def test_one_that_has_ended_is_replaced(self):
        first = self.workers.get("one")
        first.is_running = False
        second = self.workers.get("one")
        self.assertIsNot(second, first)
        self.assertTrue(second.is_running)

    def test_another_environment_or_path_needs_another_one(self):
        first = self.workers.get("one")
        with mock.patch.dict(os.environ, {"OF_A_TEST": "1"}):
            second = self.workers.get("one")
        self.assertIsNot(second, first)
        self.assertFalse(first.is_running)
        with mock.patch.object(sys, "path", [*sys.path, "/elsewhere"]):
            third = self.workers.get("one")
        self.assertIsNot(third, second)

    def test_another_test_has_the_same_one(self):
        with mock.patch.dict(os.environ, {"PYTEST_CURRENT_TEST": "one"}):
            first = self.workers.get("one")
        with mock.patch.dict(os.environ, {"PYTEST_CURRENT_TEST": "another"}):
            self.assertIs(self.workers.get("one"), first)

    def test_one_that_works_is_replaced_but_not_stopped(self):
        first = self.workers.get("one")
        first.is_idle = False
        with mock.patch.dict(os.environ, {"OF_A_TEST": "1"}):
            self.assertIsNot(self.workers.get("one"), first)
        self.assertTrue(first.is_running)

    def test_the_longest_unused_one_goes_from_more_than_four(self):
        made = {name: self.workers.get(name) for name in "abcd"}
        self.workers.get("a")
        self.workers.get("e")
        gone = [name for name in "abcd" if not made[name].is_running]
        self.assertEqual(gone, ["b"])

    def test_one_that_works_does_not_go(self):
        made = {name: self.workers.get(name) for name in "abcd"}
        made["a"].is_idle = False
        self.workers.get("e")
        self.assertTrue(made["a"].is_running)
        self.assertIs(self.workers.get("a"), made["a"])

    def test_all_of_them_stop(self):
        made = [self.workers.get(name) for name in "ab"]
        self.workers.stop()
        self.assertFalse(any(one.is_running for one in made))
        self.assertIsNot(self.workers.get("a"), made[0])

    def test_a_fork_leaves_them_to_its_parent(self):
        first = self.workers.get("one")
        self.workers.forget()
        self.assertTrue(first.forgotten)
        self.assertTrue(first.is_running)
        self.assertIsNot(self.workers.get("one"), first)


if __name__ == "__main__":
    absltest.main()
