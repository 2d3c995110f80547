"""Sums of a tensor and an array, which Keras may take for those with a bias.

`keras.ops.add(x, array)` adds, on TensorFlow, an array of a single axis along
the last axis of `x` if that has as many numbers, else along the first one after
the batch if that has, whatever the array's own axis is. Fewer channels may be
as many by chance; the operands in the other order are added as numpy does.
"""

import keras
import numpy as np

from tfprune.graph import rulebook


def is_elsewhere(array, tensor):
    """Whether Keras adds an array along another axis than its own.

    Args:
        array, tensor: tuples, the shapes of the second and the first operand.
    """
    sizes = (1,) * (len(tensor) - len(array)) + tuple(array)
    own = [axis for axis, n in enumerate(sizes) if n > 1]
    if keras.backend.backend() != "tensorflow" or len(tensor) < 2:
        return False
    if len(own) != 1 or len(sizes) > len(tensor):
        return False
    ends = [axis for axis in (-1, 1) if tensor[axis] == sizes[own[0]]]
    return bool(ends) and ends[0] % len(tensor) != own[0]


def keep_apart(call, own, other, *rest):
    """Keeps a bias from being added along another axis than its own.

    Args:
        call: the `Call` of the layer.
        own, other: its axis, and the one along which it would be added if both
            were as long: for each an `int`, `None` if the size is unknown, or
            the labels of its channels.
        *rest: int arrays, the channels along the bias's other axes: only where
            one is left of each is it a bias of a single axis.
    """
    if keras.backend.backend() != "tensorflow":
        return
    reason = "a bias added along another axis"
    channels = [x for x in (own, other) if isinstance(x, np.ndarray)]
    if len(channels) == 2:
        for labels in channels:
            call.freeze(labels, reason)
    elif channels:
        (size,) = (x for x in (own, other) if not isinstance(x, np.ndarray))
        counts = (channels[0], size), *((labels, 1) for labels in rest)
        if size in (None, 1):
            return
        if all(len(labels) == count for labels, count in counts):
            call.freeze(channels[0], reason)
        else:
            call.avoid(*counts)


def as_numpy(config):
    """Finds the sums of a config that are added along the array's own axis.

    Args:
        config: `dict`, of a model.

    Returns:
        List of `dict`, the calls of these ops, for `turn`.
    """
    found = []
    for entry in config["layers"]:
        inner = entry["config"]
        if isinstance(inner.get("layers"), list):
            found += as_numpy(inner)
        elif rulebook.name_of(entry) == "ops.Add":
            found += filter(_is_as_numpy, entry["inbound_nodes"])
    return found


def _is_as_numpy(call):
    kinds = ["__keras_tensor__", "__numpy__"]
    given = [x for x in call["args"] if isinstance(x, dict)]
    if [x.get("class_name") for x in given] != kinds:
        return False
    tensor, array = (x["config"] for x in given)
    shape = np.shape(array["value"])
    return len(shape) > 1 and not is_elsewhere(shape, tuple(tensor["shape"]))


def turn(calls):
    """Turns the operands of sums around, in place."""
    for call in calls:
        call["args"] = call["args"][::-1]
