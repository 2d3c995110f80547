"""What is lost under kills, damaged files, full disks and two at once.

Runs for some minutes and writes what it tried, what survived and what was
lost. An input that failed is kept in `build/trust`.

  python benchmarks/trust.py --minutes=60 --seed=0 --table=docs/results/trust.md
"""

import dataclasses
import os
import pathlib
import random
import shutil
import signal
import threading
import time
import zipfile

import numpy as np
import results
import trust_jobs
from absl import app
from absl import flags

from tfprune.core import child
from tfprune.core import leftovers
from tfprune.core import tables

FLAGS = flags.FLAGS
flags.DEFINE_float("minutes", 60, "how long all of it may take")
flags.DEFINE_integer("seed", 0, "of kills, damages and pipelines")
flags.DEFINE_string("table", "", "also write the table to this file")

KILLED = ("fit", "pcas", "search", "write")
# Of the time; the rest is for what runs once.
SHARES = {"kills": 0.5, "files": 0.25, "soak": 0.2}
# Seconds that opening a file may take on a busy machine.
PATIENCE = 120


@dataclasses.dataclass
class Row:
    """One kind of trial.

    Attributes:
        what: `str`, in words.
        tried, survived: `int`.
        notes: `str`.
    """

    what: str
    tried: int = 0
    survived: int = 0
    notes: str = ""

    def add(self, survived):
        """Counts a trial, `survived` a `bool`."""
        self.tried += 1
        self.survived += survived


def main(argv):
    del argv
    rows = run(FLAGS.minutes * 60, FLAGS.seed)
    cells = [
        (r.what, r.tried, r.survived, r.tried - r.survived, r.notes)
        for r in rows
    ]
    table = tables.Table(
        ("what", "tried", "survived", "lost", "notes"),
        tuple(tuple(map(str, row)) for row in cells),
    )
    results.publish(
        "# Kills, damaged files, full disks, two at once\n\n"
        f"{FLAGS.minutes:g} minutes, seed {FLAGS.seed}. A killed run survives "
        "if it is started again and ends with the weights of one that was "
        "not killed; a file, if it opens or gives one line that says what is "
        "wrong, within time and memory.\n\n"
        f"{table.to_markdown()}\n{results.footer('trust.py')}\n",
        FLAGS.table,
    )


def run(seconds, seed, files=None):
    """Runs all kinds of trials.

    Args:
        seconds: `float`, about how long.
        seed: `int`.
        files: `int`, how many damaged files at most; `None` for as many as
            there is time for.

    Returns:
        List of `Row`.
    """
    rng = random.Random(seed)
    with leftovers.folder() as folder:
        folder = pathlib.Path(folder)
        rows = kills(folder, rng, seconds * SHARES["kills"])
        rows += damaged(folder, rng, seconds * SHARES["files"], files)
        rows += [*disks(folder), threads(folder), two_at_once(folder)]
        rows.append(soak(folder, seconds * SHARES["soak"], seed))
    return rows


def ask(folder, job, **options):
    """The `child.Answer` of a job."""
    folder.mkdir(parents=True, exist_ok=True)
    with child.Child(trust_jobs.__file__) as process:
        return process.ask(
            {"job": job, "folder": str(folder), "options": options}
        )


def kills(folder, rng, seconds):
    """Runs are killed at random moments until they end all the same."""
    wanted, lasts, rows = {}, {}, {}
    for job in KILLED:
        rows[job] = Row(f"`{job}` killed at a random moment")
        for number in range(2):  # The first one traces and imports.
            start = time.time()
            answer = ask(folder / f"{job}-whole-{number}", job)
            lasts[job] = time.time() - start
        if answer.error:
            raise RuntimeError(f"{job} fails without a kill: {answer.tail}")
        wanted[job] = answer.result
    end, number = time.time() + seconds, 0
    while time.time() < end or number < len(KILLED):
        job = KILLED[number % len(KILLED)]
        place = folder / f"{job}-{number}"
        killed = _killed(place, job, rng.uniform(0, lasts[job]))
        whole = True
        if job == "write":
            a, b = (_read(place / name) for name in "ab")
            whole = len(set(a)) <= 1 and len(set(b)) <= 1
            whole &= len(a) in (0, 40_000) and len(b) in (0, 10)
        answer = ask(place, job)
        survived = whole and answer.result == wanted[job]
        if killed:
            rows[job].add(survived)
        if survived:
            shutil.rmtree(place)
        else:
            _keep(place, f"{job}-{number}", answer)
        number += 1
    return list(rows.values())


def _killed(place, job, seconds):
    """Starts a job and kills it; whether it was still running."""
    place.mkdir(parents=True)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask(place, job)))
    thread.start()
    started = place / "started"
    while not (started.exists() and started.read_text()):
        time.sleep(0.001)
    time.sleep(seconds)
    if thread.is_alive():
        os.kill(int(started.read_text()), signal.SIGKILL)
    thread.join()
    return answers[0].crashed


def _read(path):
    return path.read_bytes() if path.exists() else b""


def _keep(place, name, answer):
    kept = pathlib.Path("build/trust", name)
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(place, kept) if place.is_dir() else shutil.copy(place, kept)
    pathlib.Path(f"{kept}.log").write_text(f"{answer.error}\n{answer.tail}")


def damaged(folder, rng, seconds, most):
    """Files with bytes changed, cut off or zeroed, and archives that swell."""
    sources = _sources(folder)
    rows = {p.suffix: Row(f"damaged {p.suffix} files") for p in sources}
    slowest = 0.0
    end, number = time.time() + seconds, 0
    while number < len(sources) or (
        time.time() < end and (most is None or number < most)
    ):
        source = sources[number % len(sources)]
        path = folder / "damaged" / f"{number}{source.suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damage(source.read_bytes(), rng))
        before = sorted(os.listdir(folder))
        start = time.time()
        answer = ask(folder / "open", "open", path=str(path))
        lasted = time.time() - start
        slowest = max(slowest, lasted)
        outside = sorted(set(os.listdir(folder)) - set(before) - {"open"})
        told = answer.result == "opened" or (answer.error or "").startswith(
            "ValueError"
        )
        survived = told and not outside and lasted < PATIENCE
        rows[source.suffix].add(survived)
        if not survived:
            pathlib.Path("build/trust").mkdir(parents=True, exist_ok=True)
            _keep(path, path.name, answer)
        path.unlink()
        number += 1
    for row in rows.values():
        row.notes = f"slowest of all {slowest:.1f} s"
    return list(rows.values())


def damage(data, rng):
    """A file with a random damage."""
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


def _sources(folder):
    """Whole files of every kind that is opened."""
    import keras

    from tfprune.export.convert import tflite

    place = folder / "sources"
    place.mkdir()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.save(place / "new.keras")
    model.save(place / "new.h5")
    np.savez(place / "data.npz", x=np.zeros((9, 4)), y=np.zeros(9))
    tflite.export_tflite(model, place / "file.tflite")
    with zipfile.ZipFile(
        place / "swelling.keras", "w", zipfile.ZIP_DEFLATED
    ) as archive:
        archive.writestr("config.json", b" " * 300_000_000)
        archive.writestr("metadata.json", b'{"keras_version": "3.0.0"}')
    return sorted(place.iterdir())


def disks(folder):
    """Writers that may not write more than some bytes."""
    row = Row("a disk that is full", notes="each writer once")
    for writer in ("model", "files", "backup", "search"):
        place = folder / f"full-{writer}"
        place.mkdir()
        (place / "old.keras").write_bytes(b"old")
        answer = ask(place, "full_disk", writer=writer)
        old = (place / "old.keras").read_bytes() == b"old"
        said = str(answer.result).startswith(("OSError", "written"))
        row.add(old and said and not list(place.glob(".tfprune-*")))
    return [row]


def threads(folder):
    """`prune` from eight threads."""
    row = Row("`prune` in eight threads at once, the same result")
    answer = ask(folder / "threads", "threads")
    for _ in range(8):
        row.add(answer.result == [8, 1])
    return row


def two_at_once(folder):
    """Two processes that write the same files."""
    row = Row("two processes write the same files")
    place = folder / "shared"
    answers = []
    workers = [
        threading.Thread(target=lambda: answers.append(ask(place, "write")))
        for _ in range(2)
    ]
    for thread in workers:
        thread.start()
    while any(thread.is_alive() for thread in workers):
        a = _read(place / "a")
        row.add(len(a) in (0, 40_000) and len(set(a)) <= 1)
        time.sleep(0.01)
    row.notes = "looked at while they write"
    return row


def soak(folder, seconds, seed):
    """Whole pipelines for a while; memory and open files stay flat."""
    row = Row("pipelines from `prune` to a .tflite file, one process")
    answer = ask(folder / "soak", "soak", seconds=seconds, seed=seed)
    if answer.error:
        row.add(False)
        row.notes = answer.error[:200]
        return row
    held = np.array(answer.result)
    half = len(held) // 2
    first, last = held[half], held[-1]
    for _ in held:
        row.add(True)
    row.notes = (
        f"{first[0]} MB, {first[1]} threads, {first[2]} open files at half "
        f"time; {last[0]} MB, {last[1]}, {last[2]} at the end"
    )
    return row


if __name__ == "__main__":
    app.run(main)
