"""Atomic writes of files and folders.

Data are written beside their destination, synced to disk and then renamed. A
process that is killed leaves the old file or the new one, and at worst a
partial file whose name begins with `.tfprune-`.
"""

import contextlib
import errno
import os
import pathlib
import secrets
import shutil
import stat

from tfprune.core import kinds
from tfprune.core import typed
from tfprune.core.files import leftovers

_PREFIX = ".tfprune-"
_SUFFIX = ".part"


def writable(path: typed.Path) -> pathlib.Path:
    """Checks, before any work, that a file can be written.

    Args:
        path: `str` or path-like, the file to be written. A symbolic link is
            followed.

    Returns:
        A `pathlib.Path`.

    Raises:
        FileNotFoundError: If the folder is missing.
        IsADirectoryError: If the path is a folder.
        NotADirectoryError: If what it lies in is a file.
        OSError: If the name is too long, or the path is a device, a pipe or
            a socket.
        PermissionError: If nothing can be written into the folder, or the
            file that is there is read-only.
        TypeError: If it is not a path.
    """
    kinds.check_path("path", path, "Give the name of the file to write.")
    path = pathlib.Path(path)
    target = followed(path)
    if target.is_dir():
        raise IsADirectoryError(
            f"A file name is required. Received a folder: path={str(path)!r}."
            " Add the name of the file to write."
        )
    if target.parent.exists() and not target.parent.is_dir():
        raise NotADirectoryError(
            "The file to write must lie in a folder. Received: "
            f"path={str(path)!r}, and {str(target.parent)!r} is a file. Give "
            "another name."
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            "The folder of the file to write must exist. Received: "
            f"path={str(path)!r}. Create {str(target.parent)!r} first."
        )
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(
            "A file to be overwritten must be writable. Received: "
            f"path={str(path)!r}, which is read-only. Choose another name or "
            "change its permissions."
        )
    try:
        os.unlink(_temporary(target))
    except OSError as error:
        raise PermissionError(
            "The folder of the file to write must be writable. Received: "
            f"path={str(path)!r} ({error.strerror}). Choose another folder."
        ) from error
    return path


def writable_folder(path: typed.Path) -> pathlib.Path:
    """Checks, before any work, that a folder exists or can be created.

    Args:
        path: `str` or path-like.

    Returns:
        A `pathlib.Path`.

    Raises:
        FileExistsError: If there is a file of that name.
        FileNotFoundError: If the folder that it lies in is missing.
        OSError: If the name is too long.
        PermissionError: If nothing can be written there.
        TypeError: If it is not a path.
    """
    cure = "Give the name of the folder to write."
    kinds.check_path("path", path, cure, "folder")
    path = pathlib.Path(path)
    target = followed(path)
    if target.is_dir():
        writable(path / "file")
    elif target.exists():
        raise FileExistsError(
            f"A folder is required. Received a file: path={str(path)!r}. "
            "Give another name."
        )
    else:
        writable(path)
    return path


def make_folder(path):
    """Creates a folder to write into, and its parents.

    Args:
        path: `str` or path-like; may exist.

    Raises:
        OSError: If it cannot be created or written, or is something else.
    """
    target = followed(path)
    if not target.exists():
        try:
            _make_folders(target)
        except OSError as error:
            raise type(error)(
                error.errno,
                "A folder to write into must exist, or be created. Received: "
                f"path={str(path)!r} ({error.strerror}). Choose another.",
            ) from error
    writable_folder(path)


def write(contents, guards=None):
    """Writes files under temporary names, then renames all of them.

    Creates missing folders, and removes them again if a file cannot be
    written. Symbolic links are followed, and existing files keep their mode
    and owner.

    Args:
        contents: `dict` from path to `bytes`.
        guards: `dict` from path to `bytes`, for files that are only useful as
            a set: placeholders for some paths in `contents` while the other
            files are being replaced. A process killed meanwhile leaves no
            mixed set that looks complete.

    Raises:
        OSError: If a file cannot be written; no existing file has changed
            then.
    """
    waiting, made = [], []
    guards = guards or {}
    guarded = {path: contents[path] for path in guards}
    rest = {p: data for p, data in contents.items() if p not in guards}
    try:
        for path, data in [*guards.items(), *rest.items(), *guarded.items()]:
            made += _make_folders(pathlib.Path(path).parent)
            target = followed(path)
            waiting.append((_temporary(target), target))
            _fill(waiting[-1][0], data, path)
        while waiting:
            os.replace(*waiting[0])
            del waiting[0]
            made = []
        for folder in {followed(path).parent for path in contents}:
            sync(folder)
    finally:
        for name, _ in waiting:
            os.unlink(name)
        _remove_folders(made)


@contextlib.contextmanager
def new_folder(path):
    """Yields a temporary folder and renames it once its files are on disk.

    Args:
        path: `str` or path-like, its final name; must not exist.

    Yields:
        A `pathlib.Path` to write into.

    Raises:
        OSError: If the folder cannot be created, or `path` exists.

    Example:

    >>> with new_folder("run/backup-3") as part:
    ...     model.save_weights(part / "latest.weights.h5")
    """
    path = pathlib.Path(path)
    part = _unused(path.parent)
    part.mkdir()
    try:
        yield part
        for folder, _, files in os.walk(part):
            for name in files:
                sync(os.path.join(folder, name))
            sync(folder)
        os.rename(part, path)
    except BaseException:
        shutil.rmtree(part)
        raise
    sync(path.parent)


def check_room(folder, size):
    """Raises an error if a disk has no room for a file.

    Call it before a library writes that crashes when the disk is full.

    Args:
        folder: path-like.
        size: `int`, the bytes to be written.

    Raises:
        OSError: If the disk or the user's quota is too full.
    """
    name = _unused(pathlib.Path(folder))
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle, 0, max(size, 1))
        elif shutil.disk_usage(folder).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return  # Some network drives do not report their free space.
        raise _no_room(folder, size, error) from error
    finally:
        os.close(handle)
        os.unlink(name)


def followed(path):
    """Resolves a path, its symbolic links followed, to a `pathlib.Path`.

    Raises:
        OSError: If that can be neither a file nor a folder.
    """
    path = pathlib.Path(path)
    try:
        # Of what is opened: /dev/stdout has no other name.
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return _real(path)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            longest = max(os.fsencode(path).split(b"/"), key=len)
            raise OSError(
                error.errno,
                "A name must be at most 255 bytes long, and a path as long "
                f"as the system allows. Received: {len(longest)} bytes in "
                f"{os.path.basename(os.fsdecode(longest))[:40]!r}..., "
                f"{len(os.fsencode(path))} in all. Give a shorter name.",
            ) from error
        if error.errno == errno.ELOOP:
            raise OSError(
                error.errno,
                "A symbolic link must point to a file. Received: "
                f"path={str(path)!r}, which points back to itself. Remove it "
                "or give another name.",
            ) from error
        return _real(path)
    kinds = {
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    kind = kinds.get(stat.S_IFMT(mode))
    if kind:
        raise OSError(
            errno.EINVAL,
            "Results must be written to a file. Received: "
            f"path={str(path)!r}, which is {kind}. Give the name of a file.",
        )
    return _real(path)


def remove_parts(folder):
    """Removes partial files from a folder that no process writes to."""
    for path in pathlib.Path(folder).glob(f"{_PREFIX}*{_SUFFIX}"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def sync(path):
    """Flushes a file, or the names in a folder, to disk."""
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows cannot open folders.
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _real(path):
    try:
        return pathlib.Path(os.path.realpath(path))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            "The working directory must exist. Received: "
            f"path={str(path)!r}, which is not absolute, and the directory "
            "that it is in was removed. Change to another one."
        ) from error


def _fill(name, data, path):
    try:
        with open(name, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _no_room(path, len(data), error) from error


def _no_room(path, size, error):
    return OSError(
        error.errno,
        f"The file needs free disk space. Received: path={str(path)!r}, "
        f"{size:,} bytes ({error.strerror}); any existing file is unchanged. "
        "Free some space or choose another folder.",
    )


def _make_folders(folder):
    """Creates a folder and its parents; returns those that were missing."""
    folder = followed(folder)  # A link may point to nothing yet.
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    made = []
    try:
        for path in reversed(missing):
            followed(path)  # Only now it is looked up, and may be too long.
            try:
                path.mkdir()
            except FileExistsError:
                continue  # Another process was faster.
            made.append(path)
    except OSError:
        _remove_folders(made)
        raise
    return made


def _remove_folders(made):
    """Removes folders, unless something has come into them."""
    for folder in reversed(made):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _temporary(target):
    """An empty file beside `target`, with its mode or a new file's."""
    name = _unused(target.parent)
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        found = target.stat()
    except FileNotFoundError:
        return name
    if os.name != "nt":
        made = os.stat(name)
        if (made.st_uid, made.st_gid) != (found.st_uid, found.st_gid):
            # Only root may change the owner; others own what they write.
            with contextlib.suppress(PermissionError):
                os.chown(name, found.st_uid, found.st_gid)
    os.chmod(name, stat.S_IMODE(found.st_mode))
    return name


def _unused(folder):
    leftovers.sweep(folder, _PREFIX)
    name = f"{_PREFIX}{leftovers.owner()}-{secrets.token_hex(4)}{_SUFFIX}"
    return folder / name
