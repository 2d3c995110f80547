"""Layers of class `TensorFlowOpLayer`, each an op of TensorFlow's graph.

Keras 2.0 to 2.3 of TensorFlow wrote each op on a symbolic tensor as such a
layer: the node of the graph, and inputs that are constant.
"""

import base64

import keras
import numpy as np

from tfprune.legacy.operations import node_ops
from tfprune.legacy.operations import tf_arrays

# Types that TensorFlow's messages call otherwise.
_TYPES = {"half": "float16", "float": "float32", "double": "float64"}


def call(entry, inputs):
    """Calls the op of a `TensorFlowOpLayer`.

    Args:
        entry: `dict`, the layer's entry.
        inputs: a tensor or a list of tensors, those that are not constant.

    Returns:
        A tensor or a list of tensors.

    Raises:
        ValueError: If the op has no translation.
    """
    config = entry["config"]
    name, attributes = _node(config["node_def"])
    inputs = list(inputs) if isinstance(inputs, list) else [inputs]
    for place, value in sorted(
        (int(k), v) for k, v in (config.get("constants") or {}).items()
    ):
        inputs.insert(place, np.asarray(value))
    inputs = [_narrow(value) for value in inputs]
    return keras.tree.map_structure(
        tf_arrays.known,
        node_ops.call(entry["name"], name, attributes, inputs),
    )


def _narrow(value):
    """A constant in the type of most tensors; large integers stay."""
    if not isinstance(value, np.ndarray) or value.dtype.itemsize < 8:
        return value
    narrow = {"f": "float32", "i": "int32"}.get(value.dtype.kind)
    if narrow == "int32" and np.any(value != value.astype(narrow)):
        return value
    return value if narrow is None else value.astype(narrow)


def _node(node):
    """`(op, attributes)` of a node, which is a `dict` or a message."""
    if isinstance(node, dict):
        attributes = node.get("attr", {})
        return node["op"], {k: _plain(v) for k, v in attributes.items()}
    import tensorflow as tf

    data = node if isinstance(node, bytes) else node.encode()
    message = tf.compat.v1.NodeDef.FromString(data)
    return message.op, {k: _field(v) for k, v in message.attr.items()}


def _plain(attribute):
    """The value of an attribute that is written as JSON."""
    (kind, value), *_ = attribute.items() or [(None, None)]
    if kind in ("f", "i"):
        return (float if kind == "f" else int)(value)
    if kind == "s":
        return base64.b64decode(value).decode()
    if kind == "type":
        name = value.removeprefix("DT_").lower()
        return _TYPES.get(name, name)
    if kind == "list":
        return [int(i) for i in value.get("i", [])]
    return value


def _field(attribute):
    kind = attribute.WhichOneof("value")
    value = getattr(attribute, kind)
    if kind == "s":
        return value.decode()
    if kind == "list":
        return list(value.i)
    if kind == "type":
        import tensorflow as tf

        return tf.as_dtype(value).name
    return value
