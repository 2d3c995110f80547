"""Damaged and hostile files: how they are made, and that they are opened.

Damaged: bytes flipped, cut off, zeroed, put in. Hostile: whole files that claim
shapes of terabytes, swell when unpacked, lead elsewhere, hold code or nest a
hundred thousand deep. One that runs code would leave a file `ran`.
"""

import io
import json
import os
import pathlib
import pickle
import random
import shutil
import struct
import time
import warnings
import zipfile

import numpy as np
import trust_kills
import trust_opening

# Files that one process opens, so that only the first waits for its imports.
_BATCH = 100
# Seconds that a file may take on a busy machine, and megabytes.
PATIENCE = 300
MOST_MEMORY = 1024


def damaged(folder, journal, seed, until, most, every=True):
    """Opens files until there were `most`, or it is `until`, if that is given.

    Args:
        folder: `pathlib.Path` to work in.
        journal: `trust_journal.Journal`.
        seed: `int`.
        until: `float`, a time, or `None`.
        most: `int`.
        every: `bool`, whether all kinds of files are among them.
    """
    sources = _sources(folder / "sources", every)
    place = folder / "damaged"
    place.mkdir()
    slowest, largest = journal.kept("worst") or (0.0, 0)
    number = journal.kept("files") or 0
    while number < most and (
        until is None or time.time() < until or number < len(sources)
    ):
        paths = []
        for n in range(number, min(number + _BATCH, most)):
            source = sources[n % len(sources)]
            rng = random.Random(f"{seed}-{n}")
            kind = f"{source.stem}-{n}{source.suffix}"
            paths.append(spoilt(source, place / kind, rng, folder / "ran"))
        before = sorted(os.listdir(folder))
        found = _opened(folder / "open", paths)
        new = set(os.listdir(folder)) - set(before) - {"open"}
        for path, (said, seconds, megabytes) in zip(paths, found, strict=True):
            survived = (
                (said == "opened" or is_refusal(said))
                and not new
                and seconds < PATIENCE
                and megabytes < MOST_MEMORY
            )
            journal.add(f"opened: {_kind(path)}", survived)
            slowest = max(slowest, seconds)
            largest = max(largest, megabytes)
            if not survived:
                journal.keep_input(path, path.name, f"{said}\n{new}")
            _remove(path)
        for name in new:
            _remove(folder / name)
        number += len(paths)
        journal.keep("files", number)
        journal.keep("worst", [slowest, largest])


def is_refusal(said):
    """Whether an error is one line of a kind that a caller expects."""
    kinds = ("ValueError: ", "RuntimeError: TFLite Micro must be able to run")
    return said.startswith(kinds) and "\n" not in said


def _kind(path):
    name = path.name.partition("-")[0]
    return f"{name} ({path.suffix or 'SavedModel'})"


def _opened(folder, paths):
    """`(what was said, seconds, megabytes)` of each file."""
    found = []
    while len(found) < len(paths):
        log = folder / "log"
        log.unlink(missing_ok=True)
        answer = trust_kills.ask(
            folder,
            "open",
            trust_opening.__file__,
            paths=list(map(str, paths[len(found) :])),
            patience=PATIENCE,
        )
        lines = log.read_text().splitlines() if log.exists() else []
        found += [json.loads(line) for line in lines]
        if answer.error and len(found) < len(paths):
            found.append((f"{answer.error}\n{answer.tail}", 0.0, 0))
    return found


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def spoilt(source, path, rng, ran):
    """A damaged or hostile copy of a file, or of a folder.

    Args:
        source: `pathlib.Path`, a whole one.
        path: `pathlib.Path` to write.
        rng: `random.Random`.
        ran: `pathlib.Path` of the file that code in it would write.

    Returns:
        `path`.
    """
    if source.is_dir():
        shutil.copytree(source, path)
        inner = rng.choice(sorted(p for p in path.rglob("*") if p.is_file()))
        inner.write_bytes(damage(inner.read_bytes(), rng))
        return path
    data = source.read_bytes()
    hostile = {
        ".keras": _hostile_archive,
        ".h5": _hostile_hdf5,
        ".npz": _hostile_arrays,
        ".tflite": _hostile_flatbuffer,
        ".json": _hostile_json,
    }.get(source.suffix)
    if hostile is not None and source.stem != "blanks" and rng.random() < 0.5:
        data = hostile(data, rng, ran)
    else:
        data = damage(data, rng)
    path.write_bytes(data)
    return path


def damage(data, rng):
    """A file with a random damage."""
    if not data:
        return rng.randbytes(100)
    data = bytearray(data)
    kind = rng.choice(("flip", "flips", "cut", "zeros", "ones", "insert"))
    at = rng.randrange(len(data))
    size = min(len(data) - at, rng.choice((1, 8, 100, 1000)))
    if kind == "flip":
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "flips":
        for _ in range(20):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == "cut":
        del data[at:]
    elif kind == "insert":
        data[at:at] = rng.randbytes(size)
    else:
        data[at : at + size] = (b"\0" if kind == "zeros" else b"\xff") * size
    return bytes(data)


class _Runs:
    """Pickled, it writes a file when it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def _value(rng, ran):
    """A value that no file should hold there."""
    return rng.choice(
        (
            None,
            True,
            -1,
            0,
            2**31,
            2**63,
            1e300,
            float("nan"),
            "",
            "x" * 5000,
            "\0",
            [],
            {},
            [[[[]]]],
            [2**20] * 4,
            "../../etc/passwd",
            f"__import__('pathlib').Path({str(ran)!r}).touch()",
            {
                "class_name": "function",
                "config": "os.system",
                "module": "builtins",
            },
            {
                "class_name": "system",
                "module": "os",
                "config": {"command": f"touch {ran}"},
                "registered_name": "system",
            },
            {
                "class_name": "__lambda__",
                "config": {"value": f"lambda x: open({str(ran)!r}, 'w')"},
            },
        )
    )


def _changed(value, rng, ran):
    """Plain data with one value exchanged for another."""
    if isinstance(value, dict | list) and value and rng.random() < 0.9:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = rng.choice(list(keys))
        changed = value.copy()
        if rng.random() < 0.1:
            del changed[key]
        else:
            changed[key] = _changed(value[key], rng, ran)
        return changed
    return _value(rng, ran)


def _hostile_json(data, rng, ran):
    if rng.random() < 0.2:
        return rng.choice(
            (
                b"[" * 100_000,
                b'{"a":' * 50_000,
                b"9" * 100_000,
                b" " * 5_000_000,
                b"\xff\xfe{}",
                b"null",
                b"[]",
                b"",
            )
        )
    return json.dumps(_changed(json.loads(data), rng, ran)).encode()


def _hostile_archive(data, rng, ran):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    kind = rng.choice(
        ("json",) * 6 + ("swell", "outside", "h5", "gone", "twice")
    )
    if kind == "json":
        name = rng.choice(("config.json",) * 4 + ("metadata.json",))
        entries[name] = _hostile_json(entries[name], rng, ran)
    elif kind == "swell":
        name = rng.choice((*entries, "assets/more"))
        entries[name] = rng.choice((b" ", b"\0")) * 200_000_000
    elif kind == "outside":
        entries[rng.choice(("../ran", str(ran), "a/../../../ran"))] = b"x"
    elif kind == "h5":
        name = "model.weights.h5"
        entries[name] = _hostile_hdf5(entries[name], rng, ran)
    elif kind == "gone":
        del entries[rng.choice(list(entries))]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in entries.items():
            archive.writestr(name, value)
            if kind == "twice":
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    archive.writestr(name, _hostile_json(b"[1]", rng, ran))
        if rng.random() < 0.05:
            link = zipfile.ZipInfo("link")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, "/etc/passwd")
    return made.getvalue()


def _hostile_hdf5(data, rng, ran):
    import h5py

    file = io.BytesIO(data)
    with h5py.File(file, "r+") as root:
        groups, arrays = [root], []

        def sort(_, item):
            (groups if isinstance(item, h5py.Group) else arrays).append(item)

        root.visititems(sort)
        group = rng.choice(groups)
        kind = rng.randrange(9)
        if kind < 3 and arrays:
            old = rng.choice(arrays)
            name = old.name
            del root[name]
            if kind == 0:
                root.create_dataset(name, (2**40,), "f4", chunks=(1024,))
            elif kind == 1:
                root.create_dataset(
                    name, data=np.zeros((3000, 3000)), compression="gzip"
                )
            else:
                root[name] = np.array(rng.choice((b"x", 1.5, [1, 2], 2**60)))
        elif kind == 3:
            group["link"] = h5py.ExternalLink("/etc/passwd", "/")
        elif kind == 4:
            group["root"] = root
        elif kind == 5:
            group["soft"] = h5py.SoftLink("/nowhere")
        elif kind == 6:
            inner = group
            for _ in range(500):
                inner = inner.create_group("g")
        elif kind == 7:
            group.attrs["more"] = "x" * 60_000
        names = sorted(set(root.attrs) & {"model_config", "training_config"})
        if names and (kind == 8 or rng.random() < 0.7):
            name = rng.choice(names)
            text = root.attrs[name]
            text = text if isinstance(text, bytes) else text.encode()
            text = _hostile_json(text, rng, ran)
            root.attrs[name] = (
                text[:60_000].decode(errors="replace").replace("\0", "")
            )
    return file.getvalue()


def _hostile_arrays(data, rng, ran):
    def npy(header, body=b""):
        head = header.encode() + b"\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + body

    shape = rng.choice(
        ("(2**40,)", "(1099511627776,)", "(-1,)", "(65536, 65536)")
    )
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}"
    pickled = io.BytesIO()
    np.save(pickled, np.array([_Runs(ran)], object), allow_pickle=True)
    bad = rng.choice(
        (
            npy(text),
            npy(text.replace("<f8", "|O"), pickle.dumps([_Runs(ran)])),
            npy(text.replace("'<f8'", "__import__('os')")),
            npy("{" * 9000),
            npy(text.replace("<f8", "V2000000000")),
            pickled.getvalue(),
            pickle.dumps(_Runs(ran)),
            b"\0" * 300_000_000,
        )
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bad)
        archive.writestr(rng.choice(("y.npy", "../y.npy", "y")), bad[:1000])
    return made.getvalue()


def _hostile_flatbuffer(data, rng, ran):
    del ran
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 30))):
        at = 4 * rng.randrange(len(data) // 4)
        value = rng.choice((0, 1, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1))
        data[at : at + 4] = struct.pack("<I", value)
    return bytes(data)


def _sources(place, every):
    """Whole files of the kinds that are opened; made in another process."""
    answer = trust_kills.ask(place, "make", trust_opening.__file__, every=every)
    if answer.error:
        raise RuntimeError(f"{answer.error}\n{answer.tail}")
    (place / "started").unlink()
    return sorted(pathlib.Path(place).iterdir())
