"""Temporary files that name their process, and cleanup after dead ones."""

import contextlib
import functools
import os
import pathlib
import re
import shutil
import socket
import tempfile
import time

_DAY = 24 * 3600


def owner():
    """Returns the owner tag for temporary names: machine and process."""
    return f"{_machine()}-{os.getpid()}"


@contextlib.contextmanager
def folder():
    """Yields a temporary folder; cleans up those that killed processes left.

    Yields:
        `str`, its path.

    Raises:
        FileNotFoundError: If the system has no temporary directory.
    """
    prefix = "tfprune-"
    sweep(pathlib.Path(tempfile.gettempdir()), prefix)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{owner()}-") as name:
        yield name


@functools.cache
def sweep(place, prefix):
    """Removes the leftovers of dead processes of this machine.

    Runs once per process. Files younger than a day, or of other users, stay.

    Args:
        place: `pathlib.Path`, the folder to look in.
        prefix: `str`, start of the names, before `owner()`.
    """
    pattern = re.compile(re.escape(f"{prefix}{_machine()}-") + r"(\d+)-")
    before = time.time() - _DAY
    try:
        entries = list(os.scandir(place))
    except PermissionError:
        return  # A folder to write into, and not to look into.
    for entry in entries:
        match = pattern.match(entry.name)
        if match and not _runs(int(match[1])) and _older(entry, before):
            _remove(entry)


def _older(entry, before):
    try:
        return entry.stat(follow_symlinks=False).st_mtime < before
    except FileNotFoundError:
        return False  # Another process is sweeping too.


def _remove(entry):
    # Two may sweep at once, and in a shared folder not all is ours.
    with contextlib.suppress(OSError):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _runs(process):
    if os.name == "nt":
        return True  # On Windows, probing a process would kill it.
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@functools.cache
def _machine():
    # Processes of other machines, or containers, may share the folder.
    return re.sub(r"[^A-Za-z0-9]", "", socket.gethostname())[:16] or "host"
