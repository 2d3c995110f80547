"""Files that one process holds at a time."""

import errno
import os

from absl import logging

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Lock:
    """A file that this process holds until it ends or releases it."""

    def __init__(self, handle):
        self._handle = handle

    def release(self):
        """Lets others have it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __del__(self):
        self.release()


def take(path, message):
    """Takes a lock that the system gives back when the process is killed.

    Where the system, or a network drive, knows no locks, everybody gets it.

    Args:
        path: path-like, an empty file, made if it is missing.
        message: `str`, of the error.

    Returns:
        A `Lock`.

    Raises:
        RuntimeError: If another process holds it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    if fcntl is None:
        return Lock(handle)
    try:
        # Of the process: a child that it forks does not keep it.
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            os.close(handle)
            raise RuntimeError(message) from None
        logging.info("No lock on %s: %s.", path, error.strerror)
    return Lock(handle)
