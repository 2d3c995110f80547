"""The most memory that a call, or that a child process, had (Linux)."""

import ctypes
import gc
import os
import pathlib
import threading


def of(call):
    """Peak resident memory during a call above that before it, in bytes.

    Memory that earlier calls freed is first returned to the system, because a
    call could reuse it without raising the peak.
    """
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = _status("self", "VmRSS")
    result = call()
    after = _status("self", "VmHWM")
    del result
    return after - before


class Children:
    """Watches the processes that this one starts, and theirs.

    Attributes:
        bytes: `int`, the most that one of them had.
    """

    def __enter__(self):
        self.bytes, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        self._thread.join()

    def _watch(self):
        while not self._over.wait(0.1):
            for child in _below(os.getpid()):
                self.bytes = max(self.bytes, _status(child, "VmHWM"))


def _below(pid):
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:
            continue  # The thread has ended.
        for child in children:
            yield child
            yield from _below(child)


def _status(pid, key):
    """A line of a process' status in bytes; 0 if the process has ended."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return 0  # A process that has ended, and that nobody has asked about.
