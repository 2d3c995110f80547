"""Models and arrays in files: checked when they are named, written whole."""

import pathlib
import zipfile

import numpy as np

from tfprune.core import atomic
from tfprune.core import leftovers
from tfprune.legacy import loading

_MODELS = (".keras", ".h5")
# HDF5 by another name.
_ALSO = (".hdf5",)
_FOLDER = "saved_model.pb"


def load_model(path, allow_lambda=False):
    """Reads a Keras model.

    Args:
        path: `str`, a .keras, .h5 or .hdf5 file, or the folder of a
            SavedModel that Keras 2 wrote.
        allow_lambda: `bool`, whether code that the file holds may run.

    Returns:
        A `keras.Model`; compiled if its loss and metrics can be read.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not hold a Keras model.
    """
    if not (pathlib.Path(path) / _FOLDER).is_file():
        _check_ending(path, "A model is read from")
        _check_there(path)
    try:
        return loading.load_model(path, allow_lambda)
    except (OSError, TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"The file must hold a Keras model. Received: {path!r}, which "
            f"cannot be read: {reason}"
        ) from error


def model_path(path, inputs):
    """Checks, before any work, where a model shall be written.

    Args:
        path: `str` or `None`, the value of `--out`.
        inputs: list of `str`, the files that are read.

    Returns:
        A `pathlib.Path`.

    Raises:
        ValueError: If no path is given, it has another ending, or is that of
            an input.
        OSError: If it cannot be written.
    """
    path = output_path(path, inputs)
    _check_ending(path, "A model is written to")
    return path


def output_path(path, inputs):
    """The same, for a file of any kind."""
    if not path:
        raise ValueError("--out=FILE must say where the result goes.")
    path = atomic.writable(path)
    for name in inputs:
        source = pathlib.Path(name)
        if path.exists() and source.exists() and path.samefile(source):
            raise ValueError(
                "The model that is read is never overwritten. Received: "
                f"--out={path}. Give another name."
            )
    return path


def save_model(model, path):
    """Writes a model, whole or not at all."""
    with leftovers.folder() as folder:
        saved = pathlib.Path(folder, f"model{path.suffix}")
        model.save(saved)
        atomic.write({path: saved.read_bytes()})


def load_arrays(path):
    """Reads a .npy file, or a .npz file as `(x, y)` or by name.

    Args:
        path: `str` or `None`.

    Returns:
        An array; `(x, y)` if the file holds x and y; else a `dict`; `None`
        without a path.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it holds no arrays.
    """
    if not path:
        return None
    _check_there(path)
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            arrays = dict(found)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _no_arrays(path) from error
    # Any other .zip file gives bytes: a .keras file, for example.
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise _no_arrays(path)
    if set(arrays) == {"x", "y"}:
        return arrays["x"], arrays["y"]
    return arrays


def _no_arrays(path):
    return ValueError(
        "A .npy or .npz file of numbers is needed. Received: "
        f"{str(path)!r}, which is none."
    )


def _check_there(path):
    if not pathlib.Path(path).is_file():
        raise FileNotFoundError(f"There must be a file. Received: {path!r}.")


def _check_ending(path, what):
    if pathlib.Path(path).suffix not in _MODELS + _ALSO:
        raise ValueError(
            f"{what} a file that ends in {' or '.join(_MODELS)}. Received: "
            f"{str(path)!r}."
        )
