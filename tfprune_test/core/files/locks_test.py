import errno
import os
import pathlib
import subprocess
import sys
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.core.files import locks

# Takes the lock as another program would, and says whether it got it.
OTHER = """
import fcntl, os, sys
handle = os.open(sys.argv[1], os.O_RDWR)
try:
    fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print("held")
else:
    print("free", flush=True)
    sys.stdin.read()
"""


def other(path):
    """A process that tries to take a lock and keeps it."""
    return subprocess.Popen(
        [sys.executable, "-S", "-c", OTHER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def state(path):
    """What another process finds."""
    with other(path) as process:
        found = process.stdout.readline().strip()
        process.stdin.close()
    return found


@absltest.skipIf(locks.fcntl is None, "This system knows no locks.")
class LocksTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = str(pathlib.Path(self.create_tempdir().full_path, "a lock"))

    def test_others_do_not_get_it_before_it_is_released(self):
        lock = locks.take(self.path, "in use")
        self.assertEqual(os.path.getsize(self.path), 0)
        self.assertEqual(state(self.path), "held")
        lock.release()
        self.assertEqual(state(self.path), "free")
        lock.release()  # A second time does nothing.

    def test_it_is_released_with_its_object(self):
        lock = locks.take(self.path, "in use")
        del lock
        self.assertEqual(state(self.path), "free")

    def test_one_that_another_process_holds_is_refused(self):
        pathlib.Path(self.path).touch()
        with other(self.path) as process:
            self.assertEqual(process.stdout.readline(), "free\n")
            with self.assertRaisesRegex(RuntimeError, "^two runs at a time$"):
                locks.take(self.path, "two runs at a time")
            process.kill()
            process.wait()
            locks.take(self.path, "in use").release()

    def test_a_drive_without_locks_gives_it_to_everybody(self):
        error = OSError(errno.ENOLCK, "No locks available")
        with mock.patch.object(locks.fcntl, "lockf", side_effect=error):
            with self.assertLogs("absl", "INFO") as logs:
                locks.take(self.path, "in use").release()
        self.assertIn("No locks available", logs.output[0])

    def test_a_system_without_locks_gives_it_to_everybody(self):
        with mock.patch.object(locks, "fcntl", None):
            first = locks.take(self.path, "in use")
            locks.take(self.path, "in use").release()
        first.release()

    @parameterized.parameters(errno.EACCES, errno.EAGAIN)
    def test_a_refused_lock_leaves_no_file_open(self, number):
        opened = []
        real = os.open

        def opening(*args):
            opened.append(real(*args))
            return opened[-1]

        with (
            mock.patch.object(
                locks.fcntl, "lockf", side_effect=OSError(number, "held")
            ),
            mock.patch.object(locks.os, "open", opening),
        ):
            with self.assertRaises(RuntimeError):
                locks.take(self.path, "in use")
        with self.assertRaises(OSError):
            os.fstat(opened[0])


if __name__ == "__main__":
    absltest.main()
