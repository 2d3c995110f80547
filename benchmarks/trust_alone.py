"""What outlives a process that is killed, and work without a network."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

import trust_kills

from tools import source_tree

# Of a child, to notice that its parent is gone.
_PATIENCE = 5
_DAYS = 2 * 24 * 3600


def orphans(folder, journal, seed, most=12):
    """Kills exports: their child processes end, and what they left is swept.

    Args:
        folder: `pathlib.Path` to work in.
        journal: `trust_journal.Journal`.
        seed: `int`.
        most: `int`, how many kills.
    """
    what = "orphans: exports that are killed, their children end"
    _, lasts, _ = trust_kills.whole(folder / "export-whole", "export", journal)
    place, longest = folder / "export", 0.0
    rng = random.Random(seed)
    for _ in range(4 * most):
        if journal.count(what) >= most:
            break
        thread, process = _start(place)
        thread.join(rng.uniform(0.2, lasts))
        families = _family(process)
        if not thread.is_alive():
            continue
        os.kill(process, signal.SIGKILL)
        start = time.time()
        while any(map(_runs, families)) and time.time() < start + 60:
            time.sleep(0.01)
        seconds = time.time() - start
        thread.join()
        longest = max(longest, seconds)
        notes = f"{longest:.1f} s at most"
        journal.add(what, seconds < _PATIENCE, notes)
    _sweep(place, journal)


def _start(place):
    """An export in a process of its own: the thread that waits, the process."""
    started = place / "started"
    started.unlink(missing_ok=True)
    thread = threading.Thread(target=trust_kills.ask, args=(place, "export"))
    thread.start()
    while not (started.exists() and started.read_text()):
        time.sleep(0.01)
    return thread, int(started.read_text())


def _sweep(place, journal):
    """What killed exports left goes with the first export a day later."""
    what = "orphans: what they left is swept a day later"
    temporary = place / "temporary"
    temporary.mkdir(exist_ok=True)
    left = list(temporary.iterdir())
    if journal.count(what) or not left:
        return
    answer = trust_kills.ask(place, "export")
    fresh = [path.exists() for path in left]
    for path in left:
        os.utime(path, (time.time() - _DAYS,) * 2)
    answer = trust_kills.ask(place, "export")
    stays = [path.name for path in left if path.exists()]
    notes = f"{len(left)} were left; {stays} stay"
    journal.add(what, all(fresh) and not stays and not answer.error, notes)


def _family(process):
    """A process and all that descend from it, now."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(entry.name)] = int(status.rpartition(")")[2].split()[1])
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def _runs(process):
    try:
        status = pathlib.Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


_USE = """
import sys
asked = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto",
                 "socket.gethostbyname", "urllib.Request"):
        asked.append(f"{event} {arguments}")
sys.addaudithook(hook)
import numpy as np
import tfprune
for name in dir(tfprune):
    getattr(tfprune, name)
import keras
model = keras.Sequential([keras.Input((8, 8, 2)),
    keras.layers.Conv2D(8, 3), keras.layers.ReLU(),
    keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
rng = np.random.default_rng(0)
x, y = rng.normal(size=(16, 8, 8, 2)).astype("float32"), np.arange(16) % 3
small = tfprune.prune(model, tfprune.Budget(macs=0.5), "taylor", data=(x, y))
wrapped = tfprune.wrap(small, tfprune.methods.Masked())
wrapped.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
wrapped.fit(x, y, verbose=0, callbacks=[tfprune.PruneOnSchedule(0.5)])
small = tfprune.strip(wrapped)
small.save(sys.argv[1] + "/small.keras")
small = tfprune.load_model(sys.argv[1] + "/small.keras", isolated=True)
tfprune.export_tflite(small, sys.argv[1] + "/small.tflite", "int8", x)
tfprune.export_micro(sys.argv[1] + "/small.tflite", sys.argv[1] + "/firmware")
tfprune.profile(small).page().write(sys.argv[1] + "/page.html")
tfprune.zoo.build("resnet8")
print("asked:", asked)
"""


def network(folder, journal):
    """All of it works without a network, and asks nobody for anything."""
    what = "network: from import to firmware, with none (`unshare --net`)"
    if journal.count(what):
        return
    with tempfile.TemporaryDirectory(dir=folder) as place:
        done = subprocess.run(
            ["unshare", "--net", sys.executable, "-c", _USE, place],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(source_tree.ROOT)},
        )
    survived = done.returncode == 0 and "asked: []" in done.stdout
    journal.add(what, survived, "and nothing asked for an address")
    if not survived:
        text = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        journal.keep_input(folder / "none", "network", text)
