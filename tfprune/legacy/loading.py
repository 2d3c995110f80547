"""Opens model files of Keras 3 and of Keras 2."""

import pathlib
import warnings

import keras
from absl import logging

from tfprune.legacy import building
from tfprune.legacy import files


def load_model(path, allow_lambda=False, custom_objects=None):
    """Reads a model from a file of Keras 3 or Keras 2.

    What Keras 3 refuses is translated where it means the same: functions of
    TensorFlow that were called on symbolic tensors, settings that have gone
    (`groups` of DepthwiseConv2D, `time_major`, a list as `axis`). A warning
    lists it. Optimizer, loss and metrics of such a file are not read. A file of
    Keras 3 comes back compiled if its loss and metrics can be read.

    Args:
        path: `str` or `pathlib.Path`, a `.keras` or `.h5` file, or the folder
            of a SavedModel that Keras 2 wrote.
        allow_lambda: `bool`, whether code that the file holds (a Lambda
            layer's) may run. Only for files that you trust.
        custom_objects: `dict` from names to classes and functions of one's
            own in the model, as for `keras.saving.load_model`.

    Returns:
        A `keras.Model`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no model, or one with a layer, a function or
            a setting that has no counterpart; the message names it.

    Example:

    >>> model = tfprune.load_model("old.h5")
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(
            "A model file is required. Received: "
            f"path={str(path)!r}, where there is none."
        )
    with keras.saving.custom_object_scope(custom_objects or {}):
        return _any(path, allow_lambda)


def _any(path, allow_lambda):
    if path.is_dir():
        return _translated(path, allow_lambda)
    try:
        return _load(path, allow_lambda, compiled=True)
    except (OSError, TypeError, ValueError) as error:
        logging.info("%s is read without its loss: %s", path, error)
    try:
        return _load(path, allow_lambda, compiled=False)
    except (TypeError, ValueError):
        if path.suffix not in (".h5", ".hdf5"):
            raise
    return _translated(path, allow_lambda)


def _load(path, allow_lambda, compiled):
    with warnings.catch_warnings():
        # The optimizer's state is of no use to a model that is cut, and
        # settings that have gone change nothing.
        warnings.filterwarnings("ignore", "Skipping variable loading for opt")
        warnings.filterwarnings("ignore", "Argument `input_length`")
        warnings.filterwarnings("ignore", "Do not pass an `input_shape`")
        return keras.saving.load_model(
            path, compile=compiled, safe_mode=not allow_lambda
        )


def _translated(path, allow_lambda):
    builder = building.Builder(safe_mode=not allow_lambda)
    if path.is_dir():
        entry, checkpoint = files.read_saved_model(path)
        model = builder.model(entry)
        files.assign_saved_model(model, entry, checkpoint, builder.old_names)
    else:
        entry, weights = files.read_h5(path)
        model = builder.model(entry)
        files.assign_h5(model, weights, builder.old_names)
    notes = list(dict.fromkeys(builder.notes))
    if notes:
        more = f"; and {len(notes) - 20} more" if len(notes) > 20 else ""
        warnings.warn(
            f"{path.name} was written by Keras 2 and is translated: "
            f"{'; '.join(notes[:20])}{more}.",
            stacklevel=3,
        )
    return model
