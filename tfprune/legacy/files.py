"""Reads the files that Keras 2 wrote: what the model is, and its weights."""

import json
import pathlib

import keras
import numpy as np


def is_saved_model(path):
    """Whether a folder is a SavedModel."""
    return (pathlib.Path(path) / "saved_model.pb").is_file()


def read_h5(path):
    """`(entry, weights)` of an HDF5 file.

    Returns:
        `entry`: `dict` of `class_name` and `config`. `weights`: `dict` from
        the name of each layer to a list of `(name, array)`.

    Raises:
        ValueError: If the file holds no model.
    """
    import h5py

    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            raise ValueError(
                "A file with a whole model is required. Received: "
                f"path={str(path)!r}, which has no config: weights alone. "
                "Build the model and call load_weights."
            )
        group = file["model_weights"]
        weights = {
            _text(layer): [
                (_text(name), np.array(group[_text(layer)][_text(name)]))
                for name in group[_text(layer)].attrs["weight_names"]
            ]
            for layer in group.attrs["layer_names"]
        }
        return json.loads(file.attrs["model_config"]), weights


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def assign_h5(model, weights, old_names):
    """Gives the weights of `read_h5` to a model of the same layers.

    Args:
        model: the model.
        weights: `dict` of `read_h5`.
        old_names: `dict` from names of layers to those in the file, where
            they differ.
    """
    for layer in model.layers:
        given = weights.get(old_names.get(layer.name, layer.name), [])
        variables = list(layer.weights)
        by_end = {_end(name): array for name, array in given}
        ends = [_end(variable.path) for variable in variables]
        if len(by_end) != len(given) or set(ends) != set(by_end):
            # Trainable ones come first in the file.
            variables.sort(key=lambda v: not v.trainable)
            _assign_all(layer, variables, [array for _, array in given])
        else:
            _assign_all(layer, variables, [by_end[end] for end in ends])


def _end(name):
    """The layer's and the weight's own names at the end of a path."""
    return "/".join(name.split(":")[0].split("/")[-3:][-2:])


def _assign_all(layer, variables, arrays):
    shapes = [tuple(v.shape) for v in variables]
    given = [a.shape for a in arrays]
    if shapes != given:
        raise ValueError(
            f"The weights in the file must fit layer {layer.name!r}. "
            f"Received: shapes {given}, where {shapes} are needed."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def read_saved_model(path):
    """`(entry, checkpoint)` of a SavedModel folder that Keras 2 wrote.

    Returns:
        `entry` as `read_h5`; `checkpoint`: `dict` from the name of each
        variable, as TensorFlow's checkpoints have it, to its array.

    Raises:
        ValueError: If the folder was not written by Keras 2.
    """
    import tensorflow as tf

    metadata = pathlib.Path(path) / "keras_metadata.pb"
    if not metadata.is_file():
        raise ValueError(
            "A SavedModel that Keras 2 wrote is required. Received: "
            f"path={str(path)!r}, which has no keras_metadata.pb: the layers "
            "are not in it. tf.saved_model.load runs it as it is."
        )
    texts = _metadata(metadata.read_bytes())
    nodes = [json.loads(text, object_hook=_plain) for text in texts]
    root = next(node for node in nodes if "config" in node)
    entry = {"class_name": root["class_name"], "config": root["config"]}
    reader = tf.train.load_checkpoint(
        str(pathlib.Path(path) / "variables" / "variables")
    )
    end = "/.ATTRIBUTES/VARIABLE_VALUE"
    names = [n for n in reader.get_variable_to_shape_map() if n.endswith(end)]
    return entry, {
        name.removesuffix(end): np.array(reader.get_tensor(name))
        for name in names
    }


def _plain(value):
    """Tuples, which JSON does not have, as lists."""
    return value["items"] if value.get("class_name") == "__tuple__" else value


def assign_saved_model(model, entry, checkpoint, old_names):
    """Gives the weights of `read_saved_model` to a model of these layers."""
    named = {old_names.get(x.name, x.name): x for x in model.layers}
    configs = [e["config"]["name"] for e in entry["config"]["layers"]]
    layers = [named[name] for name in configs if name in named]
    number = index = 0
    for layer in layers:
        variables = _in_order(layer)
        arrays = []
        for variable in variables:
            own = f"layer_with_weights-{number}/"
            keys = own + variable.name, f"variables/{index}"
            # What is the kernel of a depthwise layer was its depthwise_kernel.
            keys += (f"{own}depthwise_{variable.name}",)
            found = [checkpoint[key] for key in keys if key in checkpoint]
            if not found:
                raise ValueError(
                    f"The weights of layer {layer.name!r} must be in the "
                    f"checkpoint. Received: none of {', '.join(keys)}."
                )
            arrays.append(found[0])
            index += 1
        _assign_all(layer, variables, arrays)
        number += bool(variables)


def _in_order(layer):
    """Weights in the order of Keras 2: a model's, layer after layer."""
    if isinstance(layer, keras.Model):
        return [v for inner in layer.layers for v in _in_order(inner)]
    return list(layer.weights)


def _metadata(data):
    """The texts in a `SavedMetadata` message, the root's first.

    Of its nodes (field 1) the metadata (field 5) are read, and nothing else.
    """
    for number, node in _fields(data):
        if number == 1:
            for inner, value in _fields(node):
                if inner == 5:
                    yield value.decode()


def _fields(data):
    """Yields `(number, value)` of the fields of a protocol buffer."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            size = {1: 8, 5: 4}[kind]
            value, at = data[at : at + size], at + size
        yield tag >> 3, value


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
