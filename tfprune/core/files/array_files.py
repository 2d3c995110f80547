"""Writes `.npy` files, and reads what somebody else may have written.

A file says how large its arrays are, and an archive can swell a thousandfold:
both are compared with the length of the file before anything is unpacked.
"""

import errno
import math
import os
import pathlib
import tokenize
import zipfile
import zlib

import numpy as np

from tfprune.core.files import damage

# As for archives of models; a file of labels alone packs well.
_MOST_RATIO = 100
_SLACK = 1 << 26
_NPY = b"\x93NUMPY"
_KINDS = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,  # numpy reads headers as Python's literals
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def save(path, array):
    """Writes one array to a `.npy` file.

    Args:
        path: `str` or path-like.
        array: numpy array without objects.

    Raises:
        OSError: If it cannot be written; also of a full disk, of which numpy
            says only how many numbers it has written.
    """
    try:
        np.save(path, array, allow_pickle=False)
    except OSError as error:
        if error.errno is not None:
            raise
        full = errno.ENOSPC
        raise OSError(full, os.strerror(full), str(path)) from error


def read(path):
    """The arrays of a file.

    Args:
        path: `str` or path-like.

    Returns:
        An array if it is a `.npy` file, else a `dict` from name to array.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, or damaged; if it holds objects, or
            would become more than a hundred times as large.
    """
    path = pathlib.Path(path)
    with open(path, "rb") as file:
        start = file.read(len(_NPY))
    if start != _NPY and start[:2] != b"PK":
        raise _other(path)
    try:
        if start == _NPY:
            with open(path, "rb") as file:
                return _array(file, path.stat().st_size)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if all(name.endswith(".npy") for name in names):
                return _arrays(archive, path)
    except _Objects as error:
        raise _other(
            path, "holds objects, and reading them runs code"
        ) from error
    except _KINDS as error:
        reason = str(error) if isinstance(error, ValueError) else error
        raise damage.error(path, reason) from error
    raise _other(path)  # A .keras file, for example.


def samples(arrays):
    """Tells inputs, labels and weights apart by the names of arrays.

    Args:
        arrays: `dict` from names to arrays: x, or x_NAME for each of several
            inputs; y likewise; sample_weight.

    Returns:
        `(x, y, weights, others)`: arrays, `dict`s of them by NAME, or `None`
        for what there is not; and the `dict` of all others.
    """
    others = dict(arrays)

    def part(letter):
        if letter in others:
            return others.pop(letter)
        prefix = f"{letter}_"
        names = [name for name in others if name.startswith(prefix)]
        return {n[len(prefix) :]: others.pop(n) for n in names} or None

    weights = others.pop("sample_weight", None)
    return part("x"), part("y"), weights, others


class _Objects(Exception):
    """An array that is not of numbers."""


def _other(path, why="is none"):
    return ValueError(
        "A .npy or .npz file of numbers is needed. Received: "
        f"{str(path)!r}, which {why}. Write one with numpy.savez."
    )


def _arrays(archive, path):
    entries = archive.infolist()
    length = path.stat().st_size
    total = sum(entry.file_size for entry in entries)
    if total > _MOST_RATIO * length + _SLACK:
        raise ValueError(
            f"{length:,} bytes would become {total:,} when unpacked; "
            "numpy.savez writes what is not packed"
        )
    found = {}
    for entry in entries:
        name = entry.filename.removesuffix(".npy")
        if name in found:
            raise ValueError(f"{name!r} is in it twice")
        with archive.open(entry) as file:
            found[name] = _array(file, entry.file_size)
            file.read()  # To its end, where the checksum is compared.
    return found


def _array(file, length):
    """An array, if it is as long as its header says."""
    version = np.lib.format.read_magic(file)
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in headers:
        raise ValueError(f"version {version} of the format is not known")
    shape, columns_first, dtype = headers[version](file)
    if dtype.hasobject:
        raise _Objects
    claimed = math.prod(shape) * dtype.itemsize
    left = length - file.tell()
    if min(shape, default=0) < 0 or claimed != left:
        raise ValueError(
            f"it claims an array of shape {shape}, {claimed:,} bytes, and has "
            f"{left:,}"
        )
    flat = np.empty(claimed, np.uint8)
    if _fill(file, memoryview(flat)) != claimed:
        raise ValueError("it ends too early")
    order = "F" if columns_first else "C"
    if not claimed:
        return np.empty(shape, dtype, order)
    return flat.view(dtype).reshape(shape, order=order)


def _fill(file, view):
    at = 0
    while at < len(view):
        count = file.readinto(view[at : at + (1 << 24)])
        if not count:
            break
        at += count
    return at
