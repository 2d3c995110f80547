"""Models and arrays in files: checked early, written atomically."""

import pathlib
import re

import numpy as np

from tfprune.core.files import array_files
from tfprune.core.files import atomic
from tfprune.core.files import leftovers
from tfprune.core.files import saved_size

_MODELS = (".keras", ".h5")
# HDF5 by another name.
_ALSO = (".hdf5",)
_FOLDER = "saved_model.pb"
# What is passed to a function, a command finds in a module.
_PASSED = re.compile(r"[Pp]ass (it|them) (?:in|as) `?custom_objects`?")


def load_model(path, allow_lambda=False, isolated=False, own=None):
    """Reads a Keras model.

    Args:
        path: `str`, a .keras, .h5 or .hdf5 file, or the folder of a
            SavedModel that Keras 2 wrote.
        allow_lambda: `bool`, whether code that the file holds may run.
        isolated: `bool`, whether a child process opens it.
        own: `dict` from names to classes and functions of the user's.

    Returns:
        A `keras.Model`; compiled if its loss and metrics can be read.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not hold a Keras model.
    """
    # Here, as flags are checked before Keras is imported.
    from tfprune.legacy import loading

    check_model(path)
    try:
        return loading.load_model(path, allow_lambda, own, isolated)
    except (OSError, TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        module = r"--modules must name the module that defines \1"
        reason = _PASSED.sub(module, reason)
        raise ValueError(
            f"The file must hold a Keras model. Received: {path!r}, which "
            f"cannot be read: {reason}"
        ) from error


def check_model(path):
    """Checks, before Keras is imported, that a model may be there.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has another ending.
    """
    if not (pathlib.Path(path) / _FOLDER).is_file():
        _check_ending(path, "A model is read from")
        check_file(path)


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
        raise ValueError("--out=FILE must say where to write the result.")
    path = atomic.writable(path)
    for name in inputs:
        if is_same(path, name):
            raise ValueError(
                "The input model must not be overwritten. Received: "
                f"--out={path}. Give another name."
            )
    return path


def is_same(path, other):
    """Whether both name one file, which need not be there yet."""
    path, other = pathlib.Path(path), pathlib.Path(other)
    if path.exists() and other.exists():
        return path.samefile(other)
    return atomic.followed(path) == atomic.followed(other)


def save_model(model, path):
    """Writes a model, whole or not at all."""
    with leftovers.folder() as folder:
        # HDF5 crashes the process when the disk is full.
        atomic.check_room(folder, saved_size.saved_bytes(model))
        saved = pathlib.Path(folder, f"model{path.suffix}")
        model.save(saved)
        atomic.write({path: saved.read_bytes()})


def load_arrays(path):
    """Reads a .npy file, or a .npz file as `(x, y)` or by name.

    Files of `tfprune compress` are read as well: x_NAME and y_NAME of several
    inputs and outputs become `dict`s, sample_weight comes third.

    Args:
        path: `str` or `None`.

    Returns:
        An array, also if the file holds x alone; `(x, y)` or
        `(x, y, weights)` if it holds these; else a `dict`; `None` without a
        path.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it holds no arrays, or is damaged.
    """
    if not path:
        return None
    check_file(path)
    found = array_files.read(path)
    if not isinstance(found, dict):
        return found
    x, y, weights, others = array_files.samples(found)
    if x is None or y is None or others:
        return found["x"] if [*found] == ["x"] else found
    return (x, y) if weights is None else (x, y, weights)


def load_samples(path, flag):
    """Reads inputs with their labels.

    Args:
        path: `str` or `None`.
        flag: `str`, the flag that names the file.

    Returns:
        `(x, y)` or `(x, y, weights)`, as `load_arrays`; `None` without a path.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it does not hold x and y, as many of each.
    """
    arrays = load_arrays(path)
    if arrays is None:
        return None
    if not isinstance(arrays, tuple):
        names = ", ".join(arrays) if isinstance(arrays, dict) else "one array"
        raise ValueError(
            f"{flag} needs a .npz file with the arrays x and y, inputs and "
            "their labels (x_NAME and y_NAME for several inputs and outputs). "
            f"Received: {str(path)!r}, which holds {names}. Write one with "
            "numpy.savez(path, x=x, y=y)."
        )
    each = [
        array
        for part in arrays
        for array in (part.values() if isinstance(part, dict) else [part])
    ]
    counts = {np.shape(array)[:1] for array in each}
    if len(counts) > 1 or not min(min(counts), default=0):
        shapes = " and ".join(str(np.shape(array)) for array in each)
        raise ValueError(
            f"{flag} needs as many x as y, at least one. Received: "
            f"{str(path)!r} with arrays of shape {shapes}."
        )
    return arrays


def check_file(path):
    """Checks that there is a file."""
    if not pathlib.Path(path).is_file():
        which = "is a folder" if pathlib.Path(path).is_dir() else "is not there"
        raise FileNotFoundError(
            f"There must be a file. Received: {path!r}, which {which}."
        )


def _check_ending(path, what):
    if pathlib.Path(path).suffix not in _MODELS + _ALSO:
        raise ValueError(
            f"{what} a file that ends in {' or '.join(_MODELS)}. Received: "
            f"{str(path)!r}."
        )
