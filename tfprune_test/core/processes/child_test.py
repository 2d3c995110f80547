import os
import pathlib
import signal
import sys
from concurrent import futures
from unittest import mock

from absl.testing import parameterized

from tfprune.core.processes import child
from tfprune.core.processes import worker

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
