import pathlib
import sys

from absl.testing import parameterized

from tfprune.export.run import child

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
        script = pathlib.Path(self.create_tempdir().full_path, "script.py")
        script.write_text(
            SCRIPT.format(top=top, prepare=prepare, handle=handle)
        )
        with child.Child(script) as process:
            return process.ask(request)

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

    def test_a_child_that_was_not_asked_is_gone(self):
        script = pathlib.Path(self.create_tempdir().full_path, "script.py")
        script.write_text(SCRIPT.format(top="", prepare="pass", handle="pass"))
        with self.assertRaises(ZeroDivisionError):
            with child.Child(script) as process:
                started = process._process
                _ = 1 / 0
        self.assertIsNotNone(started.returncode)
