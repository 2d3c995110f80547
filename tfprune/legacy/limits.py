"""Checks files in a child process before they are opened."""

import pathlib

from tfprune.core.files import damage
from tfprune.core.processes import child
from tfprune.legacy.formats import file_probe

_SECONDS = 5  # of CPU, and one more for each 20 MB
# Imports tfprune.legacy, which imports this file, but in its own process.
_ISOLATED = pathlib.Path(__file__).with_name("isolated.py")
_BYTES = 1 << 29  # of memory, beside four times the file


def check(path):
    """Raises an error if a file cannot be opened safely.

    A child process with limits on time and memory reads HDF5 files and
    archives to the end, so that damaged ones cannot stop this process. It
    compares the shapes that they claim with their length and rejects links to
    other files.

    Args:
        path: `pathlib.Path`, a file.

    Raises:
        ValueError: If it is damaged.
    """
    length = path.stat().st_size
    request = {
        "path": str(pathlib.Path(path).absolute()),
        "seconds": _SECONDS + length // 20_000_000,
        "bytes": _BYTES + 4 * length,
    }
    with child.Child(file_probe.__file__) as process:
        answer = process.ask(request)
    if answer.error:
        raise _refusal(path, answer)


def rewritten(path, folder):
    """Rewrites a file as a Keras 3 file in a child process.

    Args:
        path: `pathlib.Path`, a file or the folder of a SavedModel.
        folder: path-like, an existing folder.

    Returns:
        A `pathlib.Path` in `folder`.

    Raises:
        ValueError: If the file cannot be opened within the limits.
    """
    _isolated(path, folder=str(folder))
    return pathlib.Path(folder, "model.keras")


def check_folder(path):
    """The same as `check` for the folder of a SavedModel.

    TensorFlow's reader is C code; a process of its own reads the folder first.
    """
    _isolated(path)


def _isolated(path, **where):
    files = [f for f in path.rglob("*") if f.is_file()] or [path]
    length = sum(f.stat().st_size for f in files)
    request = {
        "path": str(path.absolute()),
        **where,
        "seconds": 40 * _SECONDS + length // 2_000_000,
        "bytes": 8 * _BYTES + 10 * length,
    }
    with child.Child(_ISOLATED) as process:
        answer = process.ask(request)
    if answer.error and answer.error.startswith("ValueError: "):
        # A layer that is not known, say: nothing is damaged.
        raise ValueError(answer.error.removeprefix("ValueError: "))
    if answer.error:
        raise _refusal(path, answer)


def _refusal(path, answer):
    if answer.crashed:
        reasons = {
            "died of SIGXCPU": "reading it takes too long",
            "died of SIGKILL": "reading it takes too long or too much memory",
        }
        reason = reasons.get(answer.error, f"its reader {answer.error}")
    else:
        reason = answer.error
        if "MemoryError" in reason:
            reason = "reading it takes too much memory"
    reason = reason.removeprefix("ValueError: ")
    if reason.startswith("The file is damaged"):
        return ValueError(reason)
    return damage.error(path, reason)
