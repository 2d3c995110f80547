"""Pieces of work that `trust.py` kills, starves and repeats.

Run by `child.Child`, each in a fork of a process that has imported tfprune.
"""

import gc
import hashlib
import os
import pathlib
import random
import signal
import threading

import numpy as np


def prepare():
    """Imports tfprune, and no more: a fork must find no threads."""
    import tfprune  # noqa: F401


def handle(request):
    """Does one job.

    Args:
        request: `dict` with `job`, `folder` to work in, and what the job
            takes. A file `started` in the folder holds the process.
    """
    folder = pathlib.Path(request["folder"])
    (folder / "started").write_text(str(os.getpid()))
    return JOBS[request["job"]](folder, **request.get("options", {}))


def _net(seed=0, width=6):
    import keras

    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((8, 8, 2))
    for name in ("one", "two"):
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

    model = tfprune.wrap(_net(), tfprune.methods.Masked())
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, jit_compile=False)
    pruning = callbacks.PruneOnSchedule(
        tfprune.schedules.Polynomial(0.0, 0.8, begin=0, end=16)
    )
    backup = callbacks.Backup(folder / "backup")
    model.fit(
        *_data(),
        batch_size=8,
        epochs=6,
        shuffle=False,
        verbose=0,
        callbacks=[pruning, backup],
    )
    return _digest(model)


def pcas(folder):
    """The three stages of PCAS."""
    from tfprune import recipes

    small = recipes.pcas(
        _net(),
        _data(),
        0.4,
        epochs=3,
        retrain_epochs=3,
        batch_size=16,
        checkpoint_dir=folder / "stages",
        compile_args={"jit_compile": False},
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
    from tfprune.core import atomic

    for i in range(count):
        value = bytes([i % 251])
        atomic.write({folder / "a": value * 40_000, folder / "b": value * 10})
    return "written"


def open_model(folder, path):
    """Opens a file that may be damaged or hostile."""
    import tfprune
    from tfprune.cli import storage
    from tfprune.export.file import model_file

    del folder
    path = pathlib.Path(path)
    if path.suffix == ".tflite":
        model_file.read(path)
    elif path.suffix in (".npz", ".npy"):
        storage.load_arrays(path)
    else:
        tfprune.load_model(path)
    return "opened"


def full_disk(folder, writer):
    """Writes where files may not grow beyond a few bytes."""
    import resource

    import tfprune
    from tfprune.cli import storage
    from tfprune.core import atomic

    model = _net()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    try:
        if writer == "model":
            storage.save_model(model, folder / "old.keras")
        elif writer == "files":
            atomic.write({folder / "old.keras": b"x" * 5000})
        elif writer == "backup":
            backup = tfprune.callbacks.Backup(folder / "backup")
            model.fit(*_data(), verbose=0, callbacks=[backup])
        else:
            search(folder)
    except OSError as error:
        return f"OSError: {str(error)[:200]}"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
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


def soak(folder, seconds, seed):
    """Whole pipelines, one after another; what they leave behind."""
    import time

    import keras

    import tfprune
    from tfprune.export.run import interpreter

    rng, rows = random.Random(seed), []
    end = time.time() + seconds
    while time.time() < end or len(rows) < 2:
        x, y = _data()
        small = tfprune.prune(
            _net(rng.randrange(99), rng.choice((4, 8))),
            tfprune.Budget(macs=rng.choice((0.4, 0.7))),
            rng.choice(("l1", "taylor", "lamp")),
            data=(x, y),
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        wrapped = tfprune.wrap(small, tfprune.methods.Masked())
        wrapped.compile("adam", loss, jit_compile=False)
        schedule = tfprune.PruneOnSchedule(0.5)
        wrapped.fit(x, y, verbose=0, callbacks=[schedule])
        small = tfprune.strip(wrapped)
        small.save(folder / "small.keras")
        small = tfprune.load_model(folder / "small.keras")
        path = folder / "small.tflite"
        tfprune.export_tflite(small, path, "int8", x)
        outputs = interpreter.run(path, x[:2])
        if not np.isfinite(outputs).all():
            raise ValueError("The outputs of a file are not finite.")
        keras.backend.clear_session()
        gc.collect()
        rows.append(_held())
    return rows


def _held():
    """Megabytes, threads and open files of this process."""
    status = pathlib.Path("/proc/self/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return [
        int(fields["VmRSS"].split()[0]) // 1024,
        int(fields["Threads"]),
        len(os.listdir("/proc/self/fd")),
    ]


JOBS = {
    "fit": fit,
    "pcas": pcas,
    "search": search,
    "write": write,
    "open": open_model,
    "full_disk": full_disk,
    "threads": threads,
    "soak": soak,
}
