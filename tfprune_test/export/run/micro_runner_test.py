"""The parts that need no interpreter; `interpreter_test` runs the others."""

import os
import pathlib
import signal
from unittest import mock

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.run import micro_runner


class Interpreter:
    """Doubles its input; starts in arenas of `least` bytes."""

    def __init__(self, least=0, arena=1 << 30):
        if arena < least:
            raise RuntimeError(f"{arena} bytes")
        self.invoked = self.resets = 0

    def set_input(self, value, index):
        assert index == 0
        self.value = np.array(value)

    def invoke(self):
        self.invoked += 1

    def get_output(self, index):
        return self.value * 2 + index

    def reset(self):
        self.resets += 1


def arenas(least):
    """Patches the interpreter by one that needs so many bytes."""
    return mock.patch.object(
        micro_runner, "_interpreter", lambda _, arena: Interpreter(least, arena)
    )


class ArenaTest(parameterized.TestCase):
    @parameterized.parameters((1000, 1 << 24), (1 << 25, 1 << 26))
    def test_the_first_arena_that_is_large_enough(self, least, expected):
        with arenas(least):
            _, size = micro_runner._start(b"")
        self.assertEqual(size, expected)

    def test_what_fits_no_arena_is_an_error(self):
        with arenas(1 << 31), self.assertRaisesRegex(RuntimeError, "bytes"):
            micro_runner._start(b"")

    @parameterized.parameters(
        # Enough at once, more than used, and far more.
        (100, 160, 160),
        (170, 160, 176),
        (5000, 160, 5008),
    )
    def test_the_smallest_arena(self, least, used, expected):
        with arenas(least):
            self.assertEqual(micro_runner._smallest(b"", used), expected)

    @parameterized.parameters(RuntimeError, MemoryError, KeyboardInterrupt)
    def test_whatever_is_raised_the_copy_ends(self, kind):
        parent = os.getpid()
        with mock.patch.object(micro_runner, "_interpreter", side_effect=kind):
            self.assertFalse(micro_runner._starts(b"", 16))
        self.assertEqual(os.getpid(), parent)

    def test_a_crash_is_no_start(self):
        def crash(*_):
            os.kill(os.getpid(), signal.SIGKILL)

        with mock.patch.object(micro_runner, "_interpreter", crash):
            self.assertFalse(micro_runner._starts(b"", 16))


class RequestTest(absltest.TestCase):
    def test_samples_run_one_by_one_and_are_forgotten(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        np.save(folder / "x.npy", np.array([[1], [2], [3]], "int8"))
        (folder / "a.tflite").write_bytes(b"")
        model = Interpreter()
        with mock.patch.object(micro_runner, "_interpreter", lambda *_: model):
            micro_runner.handle(
                {
                    "action": "run",
                    "path": str(folder / "a.tflite"),
                    "inputs": [str(folder / "x.npy")],
                    "outputs": [str(folder / f"y{i}.npy") for i in (0, 1)],
                }
            )
        first, second = (np.load(folder / f"y{i}.npy") for i in (0, 1))
        self.assertEqual(first.tolist(), [[2], [4], [6]])
        self.assertEqual(second.tolist(), [[3], [5], [7]])
        self.assertEqual((model.invoked, model.resets), (3, 3))

    def test_an_inference_without_end_ends_the_process(self):
        class Endless(Interpreter):
            def invoke(self):
                while True:
                    pass

        process = os.fork()
        if not process:
            micro_runner._invoke(Endless(), [np.zeros(1)], 0.1)
        ended = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        self.assertEqual(ended, -signal.SIGVTALRM)

    def test_files_with_loops_have_a_limit(self):
        self.assertEqual(micro_runner.seconds({"ADD": 1}), 0)
        self.assertGreater(micro_runner.seconds({"WHILE": 1}), 10)

    def test_the_least_time_of_each_model(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        (folder / "a.tflite").write_bytes(b"")
        clock = iter([0.0, 3.0, 10.0, 12.0, 20.0, 21.0, 30.0, 35.0])
        with (
            arenas(0),
            mock.patch.object(
                micro_runner.time, "perf_counter", lambda: next(clock)
            ),
        ):
            found = micro_runner.handle(
                {
                    "action": "time",
                    "paths": [str(folder / "a.tflite")] * 2,
                    "inputs": [[(1, 2), "int8"]],
                    "runs": 2,
                }
            )
        self.assertEqual(found, [1.0, 2.0])

    def test_what_is_written_to_stderr_by_its_number(self):
        text = micro_runner._stderr_of(lambda: os.write(2, b"total 7 bytes"))
        self.assertEqual(text, "total 7 bytes")


if __name__ == "__main__":
    absltest.main()
