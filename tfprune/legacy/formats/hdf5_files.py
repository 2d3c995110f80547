"""Reads HDF5 files of Keras 1 and 2: what the model is, and its weights."""

import dataclasses
import json
import zipfile

import numpy as np


@dataclasses.dataclass(frozen=True)
class Contents:
    """The contents of a file of Keras 1 or 2.

    Attributes:
        entry: `dict` of the model's `class_name` and `config`.
        weights: `dict` from the name of each layer to a list of `(name,
            array)`; or one such list, layer by layer.
        version: `str`, the version of Keras that wrote it.
        backend: `str`, its backend.
        training: `dict` or `None`, the compile settings.
    """

    entry: dict
    weights: dict | list
    version: str = "2"
    backend: str = "tensorflow"
    training: dict | None = None


def is_hdf5(path):
    """Whether a file is an HDF5 file, whatever its name says."""
    import h5py

    # An archive's weights, stored as they are, may lie where HDF5 looks for the
    # start of a file.
    return (
        path.is_file() and h5py.is_hdf5(path) and not zipfile.is_zipfile(path)
    )


def h5_version(path):
    """The version of Keras that wrote an HDF5 file."""
    import h5py

    with h5py.File(path, "r") as file:
        return _version(file)


def _version(file):
    group = file["model_weights"] if "model_weights" in file else file
    found = file.attrs.get("keras_version", group.attrs.get("keras_version"))
    return "1" if found is None else _text(found)


def read_h5(path):
    """The `Contents` of an HDF5 file.

    Raises:
        ValueError: If the file holds no model.
    """
    import h5py

    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            raise ValueError(
                "A file with a whole model is required. Received: "
                f"path={str(path)!r}, which has no config, only weights. "
                "Build the model and call load_weights."
            )
        group = file["model_weights"] if "model_weights" in file else file
        weights = {
            layer: [
                (name, np.array(group[layer][name]))
                for name in _texts(group[layer], "weight_names")
            ]
            for layer in _texts(group, "layer_names")
        }
        training = file.attrs.get("training_config")
        backend = file.attrs.get("backend", group.attrs.get("backend"))
        return Contents(
            entry=json.loads(file.attrs["model_config"]),
            weights=weights,
            version=_version(file),
            backend="tensorflow" if backend is None else _text(backend),
            training=None if training is None else json.loads(training),
        )


def training(path):
    """The compile settings in a file, a `dict`, or `None` without them.

    Args:
        path: `pathlib.Path` of an HDF5 file with a whole model.
    """
    import h5py

    with h5py.File(path, "r") as file:
        found = file.attrs.get("training_config")
    return None if found is None else json.loads(found)


def _texts(group, name):
    """An attribute of texts, which HDF5 splits into several if it is large."""
    if name in group.attrs:
        return [_text(value) for value in group.attrs[name]]
    found, i = [], 0
    while f"{name}{i}" in group.attrs:
        found += [_text(value) for value in group.attrs[f"{name}{i}"]]
        i += 1
    return found


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)
