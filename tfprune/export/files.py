"""Files that are there whole or not at all."""

import os
import pathlib
import tempfile


def writable(path):
    """Checks, before any work, that a file can be written.

    Args:
        path: `str` or path-like, the file to be written.

    Returns:
        A `pathlib.Path`.

    Raises:
        FileNotFoundError: If the folder is missing.
        IsADirectoryError: If the path is a folder.
        PermissionError: If nothing can be written into the folder.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise IsADirectoryError(
            f"A file name is required. Received a folder: path={str(path)!r}."
            " Add the name of the file to write."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            "The folder of the file to write must exist. Received: "
            f"path={str(path)!r}. Create {str(path.parent)!r} first."
        )
    try:
        os.unlink(_temporary(path))
    except OSError as error:
        raise PermissionError(
            "The folder of the file to write must be writable. Received: "
            f"path={str(path)!r} ({error.strerror}). Choose another folder."
        ) from error
    return path


def write(contents):
    """Writes files under temporary names, then renames all of them.

    Args:
        contents: `dict` from path to `bytes`.
    """
    waiting = {}
    try:
        for path, data in contents.items():
            waiting[path] = _temporary(path)
            with open(waiting[path], "wb") as file:
                file.write(data)
        for path in contents:
            os.replace(waiting[path], path)
            del waiting[path]
    finally:
        for name in waiting.values():
            os.unlink(name)


def _temporary(path):
    """An empty file beside `path`, with the rights that `open` would give."""
    path = pathlib.Path(path)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.name}.", suffix=".part", dir=path.parent
    )
    os.close(handle)
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(name, 0o666 & ~mask)
    return name
