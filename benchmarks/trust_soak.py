"""Random whole pipelines in one process, and what they leave; a child's job."""

import gc
import json
import os
import pathlib
import random
import tempfile
import time

import numpy as np


def prepare():
    """Imports what is needed; none of it starts threads before it is used."""
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    import tfprune

    for name in ("callbacks", "export_tflite", "load_model", "prune", "strip"):
        getattr(tfprune, name)


def handle(request):
    """Runs pipelines until a time; a line of JSON for each into `log`."""
    folder = pathlib.Path(request["folder"])
    (folder / "started").write_text(str(os.getpid()))
    options = request["options"]
    os.nice(15)  # What is killed and opened meanwhile comes first.
    number = options["number"]
    while time.time() < options["until"] or number < options["number"] + 2:
        try:
            pipeline(folder, random.Random(f"{options['seed']}-{number}"))
            said = None
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        number += 1
        line = json.dumps([said, *held()])
        with open(folder / "log", "a") as file:
            file.write(line + "\n")
    return controls(options["controls"])


def controls(count):
    """Megabytes that the process gains with each round of other work.

    Args:
        count: `int`, the rounds of each kind.

    Returns:
        `dict` of a kind of round: `float`.
    """
    gained = {}
    for words, work in {
        "`fit` of plain Keras": _plain_fit,
        "All but `fit` and `predict`": _no_training,
    }.items():
        rounds = []
        for i in range(count):
            work(random.Random(i))
            rounds.append(held()[0])
        # The first ones fill caches.
        first = count // 3
        gained[words] = (rounds[-1] - rounds[first]) / (count - 1 - first)
    return gained


def _plain_fit(rng):
    """build, fit."""
    _model(rng).fit(*_data(rng), verbose=0)
    _forget()


def _no_training(rng):
    """build, prune, wrap, strip, save, load, export, run."""
    import tfprune
    from tfprune.export.run import interpreter

    model, data = _model(rng), _data(rng)
    small = tfprune.prune(model, tfprune.Budget(macs=0.6), "l1")
    wrapped = tfprune.wrap(small, tfprune.methods.Masked())
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tfprune.strip(wrapped).save(folder / "small.keras")
        small = tfprune.load_model(folder / "small.keras")
        tfprune.export_tflite(small, folder / "small.tflite", "int8", data[0])
        interpreter.run(folder / "small.tflite", data[0][:2])
    _forget()


def _forget():
    import keras

    keras.backend.clear_session()
    gc.collect()


def pipeline(folder, rng):
    """build, prune, wrap, fit, strip, save, load, export, run."""
    import keras

    import tfprune
    from tfprune.export.run import interpreter

    model, data = _model(rng), _data(rng)
    small = tfprune.prune(
        model,
        tfprune.Budget(macs=rng.choice((0.4, 0.6, 0.8))),
        rng.choice(("l1", "l2", "taylor", "lamp", "geometric_median")),
        data=data,
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    wrapped = tfprune.wrap(small, tfprune.methods.Masked())
    wrapped.compile("adam", loss, jit_compile=False)
    schedule = tfprune.PruneOnSchedule(rng.choice((0.3, 0.6)))
    backup = tfprune.callbacks.Backup(folder / "backup")
    wrapped.fit(*data, verbose=0, callbacks=[schedule, backup])
    small = tfprune.strip(wrapped)
    wanted = small.predict(data[0], verbose=0)
    small.save(folder / "small.keras")
    small = tfprune.load_model(folder / "small.keras")
    np.testing.assert_allclose(
        small.predict(data[0], verbose=0), wanted, rtol=1e-4, atol=1e-5
    )
    path = folder / "small.tflite"
    if rng.random() < 0.5:
        tfprune.export_tflite(small, path)
    else:
        tfprune.export_tflite(small, path, "int8", data[0])
    outputs = interpreter.run(path, data[0][:2])
    if not np.isfinite(outputs).all():
        raise ValueError("The outputs of a file are not finite.")
    _forget()


def _model(rng):
    import keras

    keras.utils.set_random_seed(rng.randrange(1000))
    x = inputs = keras.Input((8, 8, 2))
    for _ in range(rng.choice((1, 2, 3))):
        y = keras.layers.Conv2D(
            rng.choice((4, 6, 8)),
            rng.choice((1, 3)),
            padding="same",
            use_bias=rng.random() < 0.5,
        )(x)
        if rng.random() < 0.7:
            y = keras.layers.BatchNormalization()(y)
        y = keras.layers.ReLU()(y)
        if x.shape == y.shape and rng.random() < 0.7:
            y = keras.layers.Add()([x, y])
        x = y
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=False)
    return model


def _data(rng):
    made = np.random.default_rng(rng.randrange(1000))
    x = made.normal(size=(32, 8, 8, 2)).astype("float32")
    return x, made.integers(0, 3, 32)


def held():
    """Megabytes, threads and open files of this process, and temporary files.

    Those are all of tfprune on this machine, as other programs make some too.
    """
    status = pathlib.Path("/proc/self/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return [
        int(fields["VmRSS"].split()[0]) // 1024,
        int(fields["Threads"]),
        len(os.listdir("/proc/self/fd")),
        len(list(pathlib.Path(tempfile.gettempdir()).glob("*tfprune*"))),
    ]
