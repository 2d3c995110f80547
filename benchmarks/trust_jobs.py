"""Pieces of work that `trust.py` kills, starves and repeats.

Run by `child.Child`, each in a fork of a process that has imported tfprune.
"""

import contextlib
import hashlib
import importlib
import io
import json
import os
import pathlib
import signal
import sys
import tempfile
import threading
import time

import numpy as np

# What Python reports before it changes something on the disk.
_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link")
# Kills shall come while it trains, not while it is compiled.
_EAGER = {"jit_compile": False, "run_eagerly": True}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def prepare():
    """Imports what jobs need; none of it starts threads before it is used."""
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    import tfprune

    for name in ("callbacks", "compress", "export_tflite", "recipes", "search"):
        getattr(tfprune, name)


def handle(request):
    """Does one job.

    Args:
        request: `dict` with `job`, `folder` to work in, and `options`, what
            the job takes. A file `started` in the folder holds the process, a
            file `taken` its seconds and its changes, at the end. With `aim`,
            an `int`, the process kills itself before it changes something in
            the folder for the time of that number.
    """
    folder = pathlib.Path(request["folder"])
    (folder / "started").write_text(str(os.getpid()))
    import tensorflow as tf

    changes = _Changes(folder, request.get("aim"))
    sys.addaudithook(changes)

    # On a busy machine handing over work takes longer than doing it.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    start = time.time()
    result = JOBS[request["job"]](folder, **request.get("options", {}))
    changes.aim = None
    taken = [time.time() - start, changes.count]
    (folder / "taken").write_text(json.dumps(taken))
    return result


class _Changes:
    """Counts changes in a folder; ends the process before the one aimed at."""

    def __init__(self, folder, aim):
        self.folder, self.aim, self.count = str(folder), aim, 0

    def __call__(self, event, arguments):
        if event not in _CHANGES and not (
            event == "open" and arguments[2] & _WRITES
        ):
            return
        path = arguments[0]
        if isinstance(path, int):
            return
        path = os.fsdecode(path)
        # `shutil.rmtree` gives names relative to an open folder.
        if os.path.isabs(path) and not path.startswith(self.folder):
            return
        self.count += 1
        if self.count == self.aim:
            os.kill(os.getpid(), signal.SIGKILL)


def _net(seed=0, width=6, names=("one", "two")):
    import keras

    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((8, 8, 2))
    for name in names:
        x = keras.layers.Conv2D(width, 3, padding="same", name=name)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=False)
    return model


def _data(count=32):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 8, 8, 2)).astype("float32")
    return x, rng.integers(0, 3, count)


def _digest(model):
    found = hashlib.sha256()
    for array in model.get_weights():
        found.update(array.tobytes())
    return found.hexdigest()


def fit(folder):
    """Training with masks on a schedule, backed up every two batches."""
    import tfprune
    from tfprune import callbacks

    model = tfprune.wrap(_net(names=("one",)), tfprune.methods.Masked())
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, **_EAGER)
    pruning = callbacks.PruneOnSchedule(
        tfprune.schedules.Polynomial(0.0, 0.8, begin=0, end=16)
    )
    backup = callbacks.Backup(folder / "backup", save_freq=2)
    model.fit(
        *_data(),
        batch_size=8,
        epochs=4,
        shuffle=False,
        verbose=0,
        callbacks=[pruning, backup],
    )
    return _digest(model)


def pcas(folder):
    """The three stages of PCAS."""
    from tfprune import recipes

    small = recipes.pcas(
        _net(names=("one",)),
        _data(),
        0.4,
        epochs=2,
        retrain_epochs=2,
        batch_size=16,
        checkpoint_dir=folder / "stages",
        compile_args=_EAGER,
    )
    return _digest(small)


def search(folder):
    """A search that keeps its trials."""
    import tfprune

    found = tfprune.search(
        _net(),
        _data(),
        tfprune.Budget(macs=0.6),
        strategy="random",
        evaluations=12,
        checkpoint=folder / "trials.json",
        progress=False,
    )
    return repr(sorted(found.ratios.items()))


def write(folder, count=400):
    """Files written over each other; each is of one kind of bytes."""
    from tfprune.core.files import atomic

    for i in range(count):
        value = bytes([i % 251])
        atomic.write({folder / "a": value * 40_000, folder / "b": value * 10})
    return "written"


def threads(folder, count=8):
    """`prune` from several threads at once: how many results differ."""
    import tfprune

    del folder
    model, found = _net(), []

    def work():
        found.append(_digest(tfprune.prune(model, tfprune.Budget(macs=0.5))))

    started = [threading.Thread(target=work) for _ in range(count)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return [len(found), len(set(found))]


def make(folder):
    """Two files for a microcontroller, of different networks."""
    import tfprune

    for seed, name in enumerate(("old", "new")):
        path = folder / f"{name}.tflite"
        tfprune.export_tflite(_net(seed, 4 + seed), path, "int8", _data(8)[0])


def firmware(folder, file):
    """Firmware for a file, in the folder `firmware`."""
    import tfprune

    made = tfprune.export_micro(file, folder / "firmware", name="model")
    return sorted(os.path.relpath(path, folder) for path in made.files)


def export(folder):
    """A file of 8 bits; temporary files lie in `temporary`."""
    import tfprune

    tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "temporary")
    (folder / "temporary").mkdir(exist_ok=True)
    model, data = _net(), _data(8)[0]
    tfprune.export_tflite(model, folder / "a.tflite", "int8", data)
    tfprune.export_micro(folder / "a.tflite", folder / "firmware")
    made = (folder / "a.tflite", folder / "firmware" / "model.cc")
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in made]


def compress(folder):
    """The whole way, on points in a plane."""
    import keras

    import tfprune

    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    centres = np.array([[2, 0], [-1, 2], [-1, -2]], float)
    x = (centres[y] + rng.normal(0, 0.5, (240, 2))).astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
    found = tfprune.compress(
        model,
        (x[:160], y[:160]),
        (x[160:], y[160:]),
        tfprune.Budget(macs=0.4),
        out=folder / "out",
        epochs=4,
        export=False,
        recipe=tfprune.pipeline.Recipe(
            evaluations=2, selection=96, reconstruction=96
        ),
        progress=False,
    )
    left = sorted(os.listdir(folder / "out"))
    return [_digest(found.model), left, (folder / "out.part").exists()]


def lab(folder):
    """Two rows of the lab."""
    import csv

    script = _example("lab_minicifar")
    script.FLAGS(
        [
            "lab_minicifar",
            "--smoke",
            "--resume",
            f"--out={folder / 'lab'}",
        ]
    )
    # The script's own smoke run has one method more.
    smoke = script.common.smoke
    script.common.smoke = lambda **values: smoke(
        **values | ({"method": ["dense", "l1"]} if "method" in values else {})
    )
    with _quiet():
        script.main([])
    with open(folder / "lab" / "rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    taken = [k for k in rows[0] if "second" not in k and "time" not in k]
    return [[row[key] for key in taken] for row in rows]


def records(folder):
    """The smoke entry of the records."""
    script = _example("records")
    script.FLAGS(
        [
            "records",
            "--smoke",
            f"--state={folder / 'state'}",
            f"--records={folder / 'records'}",
        ]
    )
    with _quiet():
        script.main([])
    (path,) = (folder / "records").glob("*/metrics.json")
    found = json.loads(path.read_text())
    (model,) = (folder / "records").glob("*/model.keras")
    import keras

    weights = _digest(keras.saving.load_model(model, compile=False))
    return [weights, found["test_accuracy"]]


def _example(name):
    examples = pathlib.Path(__file__).resolve().parent.parent / "examples"
    sys.path.append(str(examples))
    return importlib.import_module(name)


def _quiet():
    return contextlib.redirect_stdout(io.StringIO())


TITLES = {
    "fit": "`fit` with masks and `callbacks.Backup`",
    "pcas": "`pcas(checkpoint_dir=)`",
    "search": "`search(checkpoint=)`",
    "write": "files written over each other",
    "compress": "`compress`",
    "lab": "the lab",
    "records": "the queue of records",
    "export": "`export_tflite` and `export_micro`",
}
JOBS = {
    "fit": fit,
    "pcas": pcas,
    "search": search,
    "write": write,
    "compress": compress,
    "lab": lab,
    "records": records,
    "threads": threads,
    "make": make,
    "firmware": firmware,
    "export": export,
}
