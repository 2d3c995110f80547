"""Temporary names that say whose they are, and what dead processes left."""

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
    """What a temporary name of this process holds: machine and process."""
    return f"{_machine()}-{os.getpid()}"


@contextlib.contextmanager
def folder():
    """A temporary folder; one that a killed process left goes a day later.

    Yields:
        `str`, its path.

    Raises:
        FileNotFoundError: If there is no folder for temporary files.
    """
    prefix = "tfprune-"
    sweep(pathlib.Path(tempfile.gettempdir()), prefix)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{owner()}-") as name:
        yield name


@functools.cache
def sweep(place, prefix):
    """Removes what processes of this machine left that are gone.

    Looks once in a process. What is younger than a day stays, and so does
    what belongs to somebody else.

    Args:
        place: `pathlib.Path`, the folder to look in.
        prefix: `str`, what the names begin with, before `owner()`.
    """
    pattern = re.compile(re.escape(f"{prefix}{_machine()}-") + r"(\d+)-")
    before = time.time() - _DAY
    with os.scandir(place) as entries:
        for entry in entries:
            match = pattern.match(entry.name)
            if match and not _runs(int(match[1])) and _older(entry, before):
                _remove(entry)


def _older(entry, before):
    try:
        return entry.stat(follow_symlinks=False).st_mtime < before
    except FileNotFoundError:
        return False  # Another process sweeps too.


def _remove(entry):
    # Two may sweep at once, and in a shared folder not all is ours.
    with contextlib.suppress(OSError):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _runs(process):
    if os.name == "nt":
        return True  # Asking a process there would end it.
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
