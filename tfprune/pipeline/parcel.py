"""A request on its way to another process: as bytes and arrays.

Models go as `.keras` files, losses and metrics as configs, and beside them the
classes and functions that a script defines.
"""

import os
import pathlib

import keras

from tfprune.core.files import leftovers
from tfprune.graph import compile_state
from tfprune.graph.classes import own_layers
from tfprune.pipeline import preparation
from tfprune.pipeline.request import data_files


def packed(request, cloudpickle):
    """Packs a request.

    Args:
        request: a `preparation.Request`.
        cloudpickle: a module with the functions of `pickle`.

    Returns:
        `dict` of bytes and arrays, which Ray shares among processes.

    Raises:
        ValueError: If a part cannot be sent.
    """
    fields = dict(vars(request))
    models = {name: fields.pop(name) for name in ("model", "teacher")}
    objects = {
        **own_layers.makers(models["model"]),
        **compile_state.custom_objects([request.loss, request.metrics]),
        **compile_state.custom_objects(
            compile_state.arguments(models["model"]) or {}
        ),
    }
    if models["teacher"] is not None:
        objects |= own_layers.makers(models["teacher"])
    for name in ("loss", "metrics"):
        fields[name] = keras.tree.map_structure(_as_config, fields[name])
    for name in ("train", "validation"):
        fields[name] = _absolute(fields[name])
    for name, part in {**fields, "custom layers": objects}.items():
        try:
            # Arrays, which can always be sent, are not copied for that.
            cloudpickle.dumps(part, 5, buffer_callback=_ignored)
        except Exception as error:
            instead = (
                "Pass arrays, the path of a file that all workers read, or a "
                "keras.utils.PyDataset"
            )
            raise _not_sent(name, part, error, instead) from error
    return {
        "fields": fields,
        # Classes and functions of a script: by value.
        "objects": cloudpickle.dumps(objects),
        "models": {name: _bytes(name, model) for name, model in models.items()},
    }


def _ignored(buffer):
    """Takes a buffer out of a pickle, and forgets it."""


def _absolute(data):
    """Data; a path as workers find it, whatever folder they start in."""
    is_path = isinstance(data, (str, pathlib.Path))
    if is_path and not str(data).startswith(data_files.TFDS):
        return os.path.abspath(data)
    return data


def _as_config(thing):
    """Losses and metrics as plain data; names and functions as they are."""
    if isinstance(thing, (keras.losses.Loss, keras.metrics.Metric)):
        return _Config(keras.saving.serialize_keras_object(thing))
    return thing


class _Config:
    """A serialized loss or metric."""

    def __init__(self, config):
        self.config = config


def _not_sent(name, part, error, instead):
    return ValueError(
        f"Workers must be sent all that a trial needs. Received: {name} of "
        f"type {type(part).__name__}, which cannot be sent ({error}). "
        f"{instead}; or workers=1."
    )


def _bytes(name, model):
    if model is None:
        return None
    with leftovers.folder() as folder:
        path = pathlib.Path(folder, "model.keras")
        try:
            model.save(path)
        except Exception as error:  # That of a class of the user's own.
            instead = "Let model.save take it"
            raise _not_sent(name, model, error, instead) from error
        return path.read_bytes()


def unpacked(parcel, cloudpickle):
    """The `preparation.Request` of a parcel.

    Args:
        parcel: the result of `packed`.
        cloudpickle: as for `packed`.
    """
    objects = cloudpickle.loads(parcel["objects"])
    fields = dict(parcel["fields"])
    with keras.saving.custom_object_scope(objects):
        for name in ("loss", "metrics"):
            fields[name] = keras.tree.map_structure(_from_config, fields[name])
        for name, data in parcel["models"].items():
            fields[name] = None if data is None else _model(data)
    return preparation.Request(**fields)


def _from_config(thing):
    if isinstance(thing, _Config):
        return keras.saving.deserialize_keras_object(thing.config)
    return thing


def _model(data):
    with leftovers.folder() as folder:
        path = pathlib.Path(folder, "model.keras")
        path.write_bytes(data)
        # The run got this model from its caller, code included.
        return keras.saving.load_model(path, safe_mode=False)
