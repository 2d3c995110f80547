"""Makes and opens files for `trust_files.py`, run by `child.Child`."""

import json
import os
import pathlib
import signal
import time
import warnings
import zipfile
import zlib

import numpy as np


def prepare():
    """Imports what is needed; none of it starts threads before it is used."""
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    import tfprune

    for name in ("cost", "deploy", "export", "export_tflite", "load_model"):
        getattr(tfprune, name)


def handle(request):
    """Makes files, or opens some.

    Args:
        request: `dict` with `job`, `folder` and `options`.
    """
    folder = pathlib.Path(request["folder"])
    (folder / "started").write_text(str(os.getpid()))
    jobs = {"make": make, "open": open_all}
    return jobs[request["job"]](folder, **request["options"])


def make(folder, every=True):
    """Writes whole files: of every kind, or of those that are made soon."""
    import keras
    import tensorflow as tf

    from tfprune.searches import curves as curves_lib

    x = inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, name="conv")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="last")(x))
    model.compile("adam", "mse")
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    data = np.random.default_rng(0).normal(size=(9, 6, 6, 2))
    np.savez(folder / "data.npz", x=data.astype("float32"), y=np.arange(9) % 3)
    if every:
        _export(model, folder, data.astype("float32"))
        _blanks(folder / "blanks.keras")
    _old_model(folder / "old.h5")
    _old_folder(folder / "folder", tf)
    curves = curves_lib.Sensitivity(
        model="model",
        metric="accuracy",
        dense=0.9,
        points=(curves_lib.Point("conv", 0.5, 2, 4, 0.8),),
    )
    curves.save(folder / "curves.json")


def _export(model, folder, data):
    import tfprune

    tfprune.export_tflite(model, folder / "file.tflite")
    tfprune.export_tflite(model, folder / "quantized.tflite", "int8", data)


def _blanks(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * 300_000_000)
        archive.writestr("metadata.json", b'{"keras_version": "3.0.0"}')


def _old_model(path):
    """A file as Keras 2 wrote them."""
    import h5py

    dense = {
        "class_name": "Dense",
        "config": {
            "name": "dense",
            "batch_input_shape": [None, 4],
            "units": 3,
            "activation": "relu",
            "use_bias": True,
        },
    }
    config = {
        "class_name": "Sequential",
        "config": {"name": "old", "layers": [dense]},
    }
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.9.0"
        file.attrs["backend"] = "tensorflow"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"dense"]
        layer = weights.create_group("dense")
        layer.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        layer["dense/kernel:0"] = np.ones((4, 3), "float32")
        layer["dense/bias:0"] = np.zeros(3, "float32")


def _old_folder(path, tf):
    """A SavedModel whose metadata is that of Keras 2."""
    kept = [tf.Variable(tf.ones((4, 3))), tf.Variable(tf.zeros(3))]
    root = tf.train.Checkpoint(variables=kept)
    path.mkdir()
    root.write(str(path / "variables" / "variables"))
    dense = {
        "class_name": "Dense",
        "config": {
            "name": "dense",
            "batch_input_shape": [None, 4],
            "units": 3,
        },
    }
    text = json.dumps(
        {
            "class_name": "Sequential",
            "keras_version": "2.9.0",
            "config": {"name": "old", "layers": [dense]},
        }
    ).encode()
    node = _field(5, text)
    (path / "keras_metadata.pb").write_bytes(_field(1, node))
    (path / "saved_model.pb").write_bytes(b"")


def _field(number, data):
    size, length = len(data), b""
    while True:
        length += bytes([size & 127 | (128 if size > 127 else 0)])
        size >>= 7
        if not size:
            return bytes([number << 3 | 2]) + length + data


def open_all(folder, paths, patience):
    """Opens files; one line of JSON for each into `log`."""
    for path in paths:
        signal.alarm(patience)
        _forget_peak()
        before, start = _megabytes(), time.time()
        try:
            _open(pathlib.Path(path), folder)
            said = "opened"
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        seconds = round(time.time() - start, 2)
        line = [said, seconds, _megabytes() - before]
        with open(folder / "log", "a") as file:
            file.write(json.dumps(line) + "\n")
    signal.alarm(0)


def _open(path, folder):
    import tfprune
    from tfprune.cli import storage
    from tfprune.export.file import contents
    from tfprune.export.file import model_file
    from tfprune.searches import curves

    if path.suffix == ".tflite":
        model_file.read(path)
        if "quantized" in path.name:
            readers = (
                lambda: tfprune.export.compress_tflite(
                    path, folder / "small.tflite"
                ),
                lambda: tfprune.export_micro(path, folder / "firmware"),
                lambda: tfprune.deploy.cycles(path, core="cortex-m4"),
                lambda: contents.ops(path),
            )
            # One each, the same for the same file.
            readers[zlib.crc32(path.read_bytes()) % len(readers)]()
    elif path.suffix == ".npz":
        storage.load_arrays(path)
    elif path.suffix == ".json":
        curves.load(path).table()
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = tfprune.load_model(path)
        tfprune.cost(model)


def _forget_peak():
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def _megabytes():
    """The most memory that this process held, `int`."""
    status = pathlib.Path("/proc/self/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmHWM"].split()[0]) // 1024
