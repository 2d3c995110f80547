import os
import pathlib
import signal
import subprocess
import sys
import time
from concurrent import futures
from unittest import mock

from absl.testing import parameterized

from tfprune.core import child
from tfprune.core import worker

SCRIPT = """
import ctypes, os, sys
{top}
def prepare():
    {prepare}
def handle(request):
    {handle}
"""


class ChildTest(parameterized.TestCase):
    def ask(self, handle="return request", prepare="pass", top="", request=0):
        return self.asked(self.script(handle, prepare, top), request)

    def script(self, handle, prepare="pass", top=""):
        script = pathlib.Path(self.create_tempdir().full_path, "script.py")
        script.write_text(
            SCRIPT.format(top=top, prepare=prepare, handle=handle)
        )
        return script

    def asked(self, script, request=0):
        with child.Child(script) as process:
            return process.ask(request)

    def tearDown(self):
        worker.workers.stop()
        super().tearDown()

    def test_the_request_is_handled_after_the_preparation(self):
        answer = self.ask(
            "return [request, ready]",
            "global ready; ready = 'yes'",
            request={"a": [1, None]},
        )
        self.assertEqual(answer.result, [{"a": [1, None]}, "yes"])
        self.assertIsNone(answer.error)
        self.assertFalse(answer.crashed)

    def test_modules_are_found_where_the_parent_finds_them(self):
        self.assertEqual(self.ask("return sys.path").result, sys.path)

    def test_an_exception_comes_back_as_its_text(self):
        answer = self.ask("raise KeyError('no such op')")
        self.assertEqual(answer.error, "KeyError: 'no such op'")
        self.assertIn("not JSON", self.ask("return b''").error)
        self.assertFalse(answer.crashed)

    @parameterized.parameters(
        ("ctypes.string_at(0)", "died of SIGSEGV"),
        ("os.abort()", "died of SIGABRT"),
        ("os._exit(7)", "ended with exit status 7"),
    )
    def test_a_crash_comes_back_as_its_cause(self, code, cause):
        answer = self.ask(code)
        self.assertTrue(answer.crashed)
        self.assertEqual(answer.error, cause)

    def test_a_crash_before_the_request_is_read_is_one_too(self):
        answer = self.ask(
            prepare="raise ImportError('gone')", request="x" * 10**6
        )
        self.assertTrue(answer.crashed)
        self.assertIn("ImportError: gone", answer.tail)

    def test_the_log_holds_what_c_wrote(self):
        answer = self.ask("os.write(2, b'from C'); os.write(1, b', and out')")
        self.assertEqual(answer.log, "from C, and out")

    def test_the_tail_is_short_and_tells_where_it_crashed(self):
        answer = self.ask("os.write(2, b'line\\n' * 999); ctypes.string_at(0)")
        self.assertIn("script.py", answer.tail)
        self.assertLessEqual(answer.tail.count("\n"), 25)

    def test_a_request_finds_the_process_of_the_last_one(self):
        script = self.script("return [os.getppid(), os.getpid()]")
        answers = [self.asked(script) for _ in range(2)]
        (worker, one), (same, other) = (a.result for a in answers)
        self.assertEqual(worker, same)
        self.assertNotEqual(one, other)
        self.assertNotIn(worker, (one, other, os.getpid()))

    def test_a_crash_leaves_the_next_request_whole(self):
        script = self.script("return request or ctypes.string_at(0)")
        self.assertEqual(self.asked(script, 0).error, "died of SIGSEGV")
        self.assertEqual(self.asked(script, 1).result, 1)

    def test_a_request_changes_nothing_for_the_next_one(self):
        script = self.script("seen.append(request); return seen", top="seen=[]")
        for request in (1, 2):
            self.assertEqual(self.asked(script, request).result, [request])

    def test_a_worker_that_died_is_started_again(self):
        script = self.script("return os.getppid()")
        first = self.asked(script).result
        os.kill(first, signal.SIGKILL)
        second = self.asked(script)
        if second.crashed:  # The news of its death came after the request.
            self.assertEqual(second.error, "died of SIGKILL")
            second = self.asked(script)
        self.assertNotIn(second.result, (None, first))

    def test_a_worker_that_is_idle_ends_and_loses_no_request(self):
        script = self.script("return os.getppid()")
        with mock.patch.object(
            worker.child_boot, "__file__", self.impatient_boot()
        ):
            first = self.asked(script).result
            process = worker.workers.get(str(script))
            process._keeper.join(20)
            self.assertFalse(process.is_running)
            self.assertNotEqual(self.asked(script).result, first)

    def impatient_boot(self):
        """The boot script, which gives up after a moment."""
        text = pathlib.Path(worker.child_boot.__file__).read_text()
        path = pathlib.Path(self.create_tempdir().full_path, "boot.py")
        path.write_text(text.replace("_SECONDS = 60", "_SECONDS = 0.1"))
        return str(path)

    def test_threads_are_answered_at_once(self):
        script = self.script(
            "open(request[0], 'w').close()\n"
            "    while not os.path.exists(request[1]): time.sleep(0.01)\n"
            "    return request",
            top="import time",
        )
        folder = self.create_tempdir().full_path
        names = [os.path.join(folder, name) for name in "ab"]
        # Each waits for what the other one writes.
        requests = [names, names[::-1]]
        with futures.ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda r: self.asked(script, r), requests))
        self.assertEqual([a.result for a in answers], requests)

    def test_an_interrupted_request_is_given_up(self):
        script = self.script(
            "open(request, 'w').write(str(os.getpid())); time.sleep(60)",
            top="import time",
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

    def test_all_end_with_a_parent_that_is_killed(self):
        script = self.script(
            "print(os.getpid()); time.sleep(60)", top="import time"
        )
        # The rest of the package would bring Keras.
        parent = (
            "import pathlib, sys, threading, types\n"
            "path = pathlib.Path(sys.argv[3])\n"
            "for name in ('tfprune', 'tfprune.core'):\n"
            "    room = sys.modules[name] = types.ModuleType(name)\n"
            "    room.__path__ = [str(path / name.replace('.', '/'))]\n"
            "from tfprune.core import worker\n"
            "process = worker.workers.get(sys.argv[1])\n"
            "ask = lambda: process.ask(request=0, answer='/dev/null',\n"
            "    log=sys.argv[2], folder='.')\n"
            "threading.Thread(target=ask, daemon=True).start()\n"
            "print(process.process_id, flush=True)\n"
            "threading.Event().wait()\n"
        )
        log = pathlib.Path(self.create_tempdir().full_path, "log")
        root = pathlib.Path(child.__file__).parents[2]
        with subprocess.Popen(
            [sys.executable, "-c", parent, str(script), str(log), root],
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
