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


def writable_folder(path):
    """Checks, before any work, that a folder is there or can be made.

    Args:
        path: `str` or path-like.

    Returns:
        A `pathlib.Path`.

    Raises:
        FileExistsError: If there is a file of that name.
        FileNotFoundError: If the folder that it lies in is missing.
        PermissionError: If nothing can be written there.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        writable(path / "file")
    elif path.exists():
        raise FileExistsError(
            f"A folder is required. Received a file: path={str(path)!r}. "
            "Give another name."
        )
    else:
        writable(path)
    return path


def write(contents):
    """Writes files under temporary names, then renames all of them.

    Folders that are missing are made, and taken away again if a file cannot be
    written.

    Args:
        contents: `dict` from path to `bytes`.
    """
    waiting, made = {}, []
    try:
        for path, data in contents.items():
            made += _make_folders(pathlib.Path(path).parent)
            waiting[path] = _temporary(path)
            with open(waiting[path], "wb") as file:
                file.write(data)
        for path in contents:
            os.replace(waiting[path], path)
            del waiting[path]
        made = []
    finally:
        for name in waiting.values():
            os.unlink(name)
        for folder in reversed(made):
            folder.rmdir()


def _make_folders(folder):
    """Makes a folder and those it lies in: a list of what was missing."""
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    for path in reversed(missing):
        path.mkdir()
    return missing[::-1]


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
