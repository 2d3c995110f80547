"""Reads the folders of SavedModels that Keras 2 wrote."""

import json
import math
import pathlib

import numpy as np

from tfprune.core.files import damage
from tfprune.legacy.formats import hdf5_files

_METADATA = "keras_metadata.pb"
_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"


def read(path):
    """The `hdf5_files.Contents` of a SavedModel folder that Keras 2 wrote.

    Raises:
        ValueError: If the folder was not written by Keras 2.
    """
    import tensorflow as tf

    path = pathlib.Path(path)
    texts = _texts(path)
    nodes = [json.loads(text, object_hook=_plain) for text in texts]
    root = nodes[0] if nodes else {}
    if "config" not in root:
        raise ValueError(
            "A SavedModel written by Keras 2 is required. Received: "
            f"path={str(path)!r}, which has no {_METADATA} and so no layers. "
            "Run it with tf.saved_model.load instead."
        )
    entry = {"class_name": root["class_name"], "config": root["config"]}
    reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    _check_claims(path, reader)
    keys = _keys(reader.get_tensor(_OBJECTS))
    weights = [(name, np.array(reader.get_tensor(key))) for name, key in keys]
    return hdf5_files.Contents(
        entry=entry,
        weights=weights,
        version=root.get("keras_version", "2"),
        training=root.get("training_config"),
    )


def _check_claims(path, reader):
    """Raises where the shapes of a checkpoint do not fit into its files."""
    length = sum(f.stat().st_size for f in (path / "variables").iterdir())
    types = reader.get_variable_to_dtype_map()
    for name, shape in reader.get_variable_to_shape_map().items():
        claimed = math.prod(shape) * types[name].size
        if claimed > length or min(shape, default=0) < 0:
            raise damage.error(
                path,
                f"it claims an array of shape {tuple(shape)}, {claimed:,} "
                f"bytes, in {length:,}",
            )


def _texts(path):
    """The texts that describe the layers, the root's first.

    TensorFlow 2.5 and later keep them in a separate file.
    """
    file = path / _METADATA
    if file.is_file():
        for number, node in _fields(file.read_bytes()):
            if number == 1:
                yield from _strings(node, 5)
        return
    model = path / "saved_model.pb"
    data = model.read_bytes() if model.is_file() else b""
    # SavedModel.meta_graphs, MetaGraphDef.object_graph_def, its nodes, and
    # their user_object's metadata.
    for graph in _within(data, 2):
        for objects in _within(graph, 7):
            for node in _within(objects, 1):
                for user_object in _within(node, 4):
                    for text in _strings(user_object, 3):
                        if text.startswith("{"):
                            yield text


def _keys(data):
    """`(name, key)` in the checkpoint of the variables of the root."""
    nodes = list(_within(data, 1))

    def children(number):
        found = {}
        for child in _within(nodes[number], 1):
            fields = dict(_fields(child))
            found[fields[2].decode()] = fields.get(1, 0)
        return found

    kept = children(0)
    if "variables" not in kept:
        raise ValueError(
            "The checkpoint of a SavedModel must list its variables. Received: "
            f"{sorted(kept)}. Run it with tf.saved_model.load instead."
        )
    variables = children(kept["variables"])
    for index in sorted(variables, key=int):
        for attribute in _within(nodes[variables[index]], 2):
            fields = dict(_fields(attribute))
            yield fields.get(2, b"").decode(), fields[3].decode()


def _plain(value):
    """Tuples, which JSON does not have, as lists."""
    return value["items"] if value.get("class_name") == "__tuple__" else value


def _within(data, wanted):
    """The messages in one field of a message."""
    return (value for number, value in _fields(data) if number == wanted)


def _strings(data, wanted):
    return (value.decode() for value in _within(data, wanted))


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
