"""Files that one process holds at a time."""

import errno
import os

from absl import logging

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Lock:
    """A file lock held until this process ends or releases it."""

    def __init__(self, handle):
        self._handle = handle

    def release(self):
        """Releases the lock."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __del__(self):
        self.release()


def take(path, message):
    """Takes a lock that the system releases when the process is killed.

    If the system, or a network drive, does not support locks, it always
    succeeds.

    Args:
        path: path-like, an empty file, created if missing.
        message: `str`, the message of the error.

    Returns:
        A `Lock`.

    Raises:
        RuntimeError: If another process holds it.
    """
    if fcntl is None:
        return Lock(None)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        # A lock of the process: a forked child does not hold it.
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            os.close(handle)
            raise RuntimeError(message) from None
        logging.info("No lock on %s: %s.", path, error.strerror)
    return Lock(handle)
