"""Inspects a file before it is opened, run by `child.Child`.

On a damaged file, HDF5's C code can run forever or request any amount of
memory; here that only ends this process. A script without imports from tfprune.
"""

import io
import json
import math
import os
import pathlib
import sys
import zipfile

# Bytes of an archive's config; large models have about 10 MB.
_MOST_TEXT = 1 << 26
# zlib compresses zeros a thousandfold.
_MOST_RATIO = 1100
_SLACK = 1 << 20
_MOST_OBJECTS = 1_000_000


def prepare():
    """Imports HDF5."""
    import h5py  # noqa: F401


def handle(request):
    """Raises an error if a file cannot be opened safely.

    Args:
        request: `dict` with `path`, `seconds` of CPU and `bytes` of memory
            that opening may take.
    """
    limit(request["seconds"], request["bytes"])
    path = pathlib.Path(request["path"])
    length = path.stat().st_size
    if zipfile.is_zipfile(path):
        _look_through_archive(path, length)
    else:
        _look_through_hdf5(path, length)


def limit(seconds, size):
    """Limits CPU and memory of this process, if the system supports it."""
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + size
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _look_through_archive(path, length):
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        for entry in entries:
            parts = pathlib.PurePosixPath(entry.filename).parts
            if ".." in parts or entry.filename.startswith(("/", "\\")):
                raise ValueError(f"an entry leads outside: {entry.filename!r}")
            if entry.filename.endswith(".json"):
                if entry.file_size > _MOST_TEXT:
                    raise ValueError(
                        f"{entry.filename} would take {entry.file_size:,} "
                        f"bytes, more than {_MOST_TEXT:,}"
                    )
        total = sum(entry.file_size for entry in entries)
        if total > 100 * length + _MOST_TEXT:
            raise ValueError(
                f"{length:,} bytes would become {total:,} when unpacked"
            )
        broken = archive.testzip()
        if broken is not None:
            raise ValueError(f"the checksum of {broken} is wrong")
        for entry in entries:
            if entry.filename.endswith(".json"):
                json.loads(archive.read(entry))
            elif entry.filename.endswith(".h5"):
                data = archive.read(entry)
                _look_through_hdf5(io.BytesIO(data), len(data))


def _look_through_hdf5(file, length):
    import h5py

    with h5py.File(file, "r") as root:
        waiting, seen, claimed = [root], set(), 0
        while waiting:
            item = waiting.pop()
            place = h5py.h5o.get_info(item.id).addr
            if place in seen:
                continue
            seen.add(place)
            if len(seen) > _MOST_OBJECTS:
                raise ValueError(f"more than {_MOST_OBJECTS:,} objects")
            for name in item.attrs:
                claimed += _claimed(item.attrs.get_id(name), length)
                _ = item.attrs[name]
            if isinstance(item, h5py.Group):
                for name in item:
                    link = item.get(name, getlink=True)
                    if isinstance(link, h5py.ExternalLink):
                        raise ValueError(f"{name!r} leads to another file")
                    waiting.append(item[name])
            elif isinstance(item, h5py.Dataset):
                claimed += _claimed(item, length)
                _read(item)
            if claimed > _MOST_RATIO * length + _SLACK:
                raise ValueError(
                    f"it claims {claimed:,} bytes of arrays in {length:,}"
                )


def _claimed(array, length):
    """The bytes of an array, if a file of this length can hold them."""
    count = math.prod(array.shape or ()) * array.dtype.itemsize
    if count > _MOST_RATIO * length + _SLACK:
        raise ValueError(
            f"it claims an array of shape {tuple(array.shape)}, {count:,} "
            f"bytes, in {length:,}"
        )
    return count


def _read(data):
    if data.external:
        raise ValueError(f"{data.name!r} leads to another file")
    if not data.shape:
        _ = data[()]
        return
    row = max(1, math.prod(data.shape[1:]) * data.dtype.itemsize)
    step = max(1, (1 << 26) // row)
    for start in range(0, data.shape[0], step):
        _ = data[start : start + step]
