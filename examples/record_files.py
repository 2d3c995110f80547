"""Files of the records: networks, figures and progress."""

import io
import json
import os
import zipfile

import h5py
import numpy as np

from tfprune.core import tables
from tfprune.core.files import atomic

# What a record remembers of a shorter one that it began with.
CYCLE = ("epochs", "test_accuracy", "training", "revision")


def write_json(path, value):
    """Writes a file whole or not at all."""
    atomic.write({path: (json.dumps(value, indent=2) + "\n").encode()})


def save(model, path):
    """Writes a `.keras` file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"tmp-{os.getpid()}-{path.name}")
    model.save(temporary)
    os.replace(temporary, path)


def save_half(model, path):
    """As `save`, with float16 weights, which Keras reads as float32."""
    save(model, path)
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, _half(data) if name.endswith(".h5") else data)
    atomic.write({path: buffer.getvalue()})


def _half(data):
    """An HDF5 file with its float32 arrays in float16, as `bytes`."""
    buffer = io.BytesIO()
    with h5py.File(io.BytesIO(data)) as old, h5py.File(buffer, "w") as new:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                array = item[()]
                if array.dtype == np.float32:
                    array = array.astype(np.float16)
                made = new.create_dataset(name, data=array)
            else:
                made = new.require_group(name)
            made.attrs.update(item.attrs)

        new.attrs.update(old.attrs)
        old.visititems(copy)
    return buffer.getvalue()


def tell(folder, name, line):
    """Writes the progress of a job to `progress.json`."""
    known = progress(folder)
    known[name] = line
    write_json(folder / "progress.json", known)


def progress(folder):
    """`dict` from the name of a job to its last line of the curve."""
    path = folder / "progress.json"
    return json.loads(path.read_text()) if path.exists() else {}


def finished(folder):
    """`dict` from the name of each finished record to its metrics."""
    return {
        path.parent.name: json.loads(path.read_text())
        for path in sorted(folder.glob("*/metrics.json"))
    }


def by_entry(done):
    """Metrics of finished records, a `dict` from each entry to its seeds'."""
    found = {}
    for metrics in done.values():
        entry = metrics["entry"].rpartition("-")[0]
        found.setdefault(entry, []).append(metrics)
    return found


def table(folder, jobs, known):
    """Returns a text of what is done, running and next."""
    done, begun, lines = finished(folder), progress(folder), []
    for entry, seed in jobs:
        name = f"{entry}-seed{seed}"
        state, epoch, speed, accuracy = "next", "", "", ""
        if line := begun.get(name):
            state, epoch = "running", f"{line['epoch']} of {line['epochs']}"
            speed = f"{line['images_per_second']:.0f}"
            accuracy = f"train {line['train_accuracy']:.2%}"
        if found := done.get(name):
            whole = found["epochs"] >= known[entry].epochs
            state, epoch = "done" if whole else "short", str(found["epochs"])
            accuracy = f"test {found['test_accuracy']:.2%}"
        goal = f"{known[entry].goal:.2%}"
        lines.append((name, state, epoch, accuracy, goal, speed))
    header = ("entry", "state", "epoch", "accuracy", "goal", "images/s")
    return tables.Table(header, tuple(lines), left=2)
