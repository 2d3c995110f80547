"""Reshapes and transposes: labels move as numpy would move the elements."""

import math

import keras
import numpy as np

from tfprune.graph import labels as labels_lib
from tfprune.graph import rulebook
from tfprune.graph.lowering import few_axes
from tfprune.graph.lowering import file_op


def reshape_to(call, target, keys=None):
    """Labels after a reshape of the call's input to `target`.

    Args:
        call: the `Call`.
        target: tuple, the shape with the batch axis; a size is known wherever
            the input's is.
        keys: where the config holds the target's sizes, one key per axis, or
            `None` for an axis whose size the config does not hold.
    """
    call.moves = True
    call.rearrange(target)
    labels = labels_lib.reshape(call.x.labels, call.x.shape, target)
    if labels is None:
        return call.freeze_all("a reshape across an axis of unknown size")[0]
    if labels.shape[0] != 1:
        return call.freeze_all("channels that come into the batch axis")[0]
    axes = [a for a, n in enumerate(labels.shape) if n > 1]
    # Channels that are split over rows and columns can lose whole columns, or
    # whole rows if the columns meet in a product (heads of attention).
    free = axes[-1 - call.way(len(axes))] if axes else None
    for axis in axes:
        if axis != free:
            labels = call.tie(labels, axis)
    if len(axes) > 1:
        call.choose(labels, len(axes))
    if axes and keys is not None and keys[free] is not None:
        call.edit(keys[free], labels.reshape(-1))
    call.memory = "view"
    return labels


@rulebook.rule("Flatten", file_ops="RESHAPE")
def flatten(call):
    call.moves = True
    if call.config["data_format"] == "channels_first" and call.x.rank > 1:
        # Keras moves the channels to the end before it flattens.
        order = (0, *range(2, call.x.rank), 1)
        labels = call.x.labels.transpose(order)
        sizes = tuple(call.x.shape[a] for a in order)
        labels = labels_lib.reshape(labels, sizes, call.output_shapes[0])
        if labels is None:
            return call.freeze_all("Flatten of an unknown size")[0]
        made = call.made(labels)
        call.file.op("RESHAPE", call.x, made=made, channels_first=True)
        return labels
    return reshape_to(call, call.output_shapes[0])


def _written(sizes, keys, skip):
    """Keys of the sizes of a target shape; a size of -1 needs no edit."""
    return [None] * skip + [
        None if n == -1 else keys + (i,) for i, n in enumerate(sizes)
    ]


@rulebook.rule("Reshape", file_ops="RESHAPE")
def reshape(call):
    keys = ("config", "target_shape")
    keys = _written(call.config["target_shape"], keys, skip=1)
    return reshape_to(call, call.output_shapes[0], keys)


@rulebook.rule("ops.Reshape", file_ops="RESHAPE")
def reshape_op(call):
    call.moves = True
    sizes = call.argument(1, "newshape")
    keys = _written(sizes, call.argument_keys(1, "newshape"), skip=0)
    target = call.output_shapes[0]
    if target[0] != call.x.shape[0] and not _keeps_samples(call, target):
        call.rearrange(target)
        return call.freeze_all("a reshape that changes the batch axis")[0]
    return reshape_to(call, target, keys)


def _keeps_samples(call, target):
    """Whether each sample becomes whole rows of a batch of known size."""
    known = None not in (*call.x.shape, *target)
    rows = call.rows * math.prod(call.x.shape[1:]) if known else 0
    return known and rows % math.prod(target[1:]) == 0


def transpose_to(call, order):
    call.moves = True
    call.batch = order.index(call.x.batch)
    if call.batch != call.x.batch == 0:
        if call.way(2):  # Another op needs the batch where it was.
            call.batch = 0
            call.rearrange(tuple(call.x.shape[axis] for axis in order))
            return call.freeze_all("a transpose that moves the batch axis")[0]
        call.choose(call.x.labels, 2, "astray")
    labels = call.x.labels.transpose(order)
    _by_few_axes(call, order, call.made(labels))
    return labels


def _by_few_axes(call, order, made):
    """Adds the ops of a transposition, which take four axes at most."""
    x, parts = call.x, call.x.parts
    # Rows of the batch may be the first part, before all axes but the batch.
    rows = len(parts) - len(order) + 1
    order = [a - (a > x.batch) for a in order if a != x.batch]
    order = [*range(rows), *(axis + rows for axis in order)]
    sizes = list(map(file_op.size, parts))
    moves = list(few_axes.transpositions(sizes, order))
    if moves and call.x.rank <= few_axes.MOST_AXES:
        call.file.op("TRANSPOSE", x, made=made)
        return
    for groups, places in moves:
        groups = [tuple(parts[axis] for axis in group) for group in groups]
        x = call.file.op("RESHAPE", x, made=file_op.Made(tuple(groups)))
        turned = file_op.Made(tuple(groups[i] for i in places))
        x = call.file.op("TRANSPOSE", x, made=turned)
    call.file.op("RESHAPE", x, made=made)


@rulebook.rule("Permute", file_ops="TRANSPOSE")
def permute(call):
    return transpose_to(call, (0, *call.config["dims"]))


@rulebook.rule("ops.Transpose", file_ops="TRANSPOSE", any_batch=True)
def transpose(call):
    axes = call.argument(1, "axes")
    if axes is None:
        axes = range(call.x.rank)[::-1]
    return transpose_to(call, tuple(a % call.x.rank for a in axes))


@rulebook.rule("ops.Moveaxis", file_ops="TRANSPOSE", any_batch=True)
def moveaxis(call):
    ends = [call.argument(1, "source"), call.argument(2, "destination")]
    # An array with the sizes 1, 2, 3, ... shows where each axis ends up.
    index = np.empty(range(1, call.x.rank + 1))
    moved = np.moveaxis(index, *ends).shape
    return transpose_to(call, tuple(n - 1 for n in moved))


@rulebook.rule("ops.Swapaxes", file_ops="TRANSPOSE", any_batch=True)
def swapaxes(call):
    a, b = (call.argument(i, n) for i, n in ((1, "axis1"), (2, "axis2")))
    order = list(range(call.x.rank))
    order[a], order[b] = order[b], order[a]
    return transpose_to(call, tuple(order))


@rulebook.rule("ops.Rot90", file_ops=("TRANSPOSE", "REVERSE_V2"))
def rotate(call):
    call.moves = True
    axes = {axis % call.x.rank for axis in call.config["axes"]}
    if 0 in axes:
        return call.freeze_all("a turn of the batch axis")[0]
    if axes & set(call.x.varying):
        return call.freeze_all("a turn of the channels")[0]
    return call.x.labels


@rulebook.rule("ops.ExpandDims")
def expand_dims(call):
    return reshape_to(call, call.output_shapes[0])


@rulebook.rule("ops.Squeeze", any_batch=True)
def squeeze(call):
    axes = call.argument(1, "axis")
    if axes is None:  # An axis of one channel would go, too.
        for channels in call.x.axes:
            call.avoid((channels, 1))
        axes = range(call.x.rank)
    gone = {int(axis) % call.x.rank for axis in np.atleast_1d(axes)}
    gone = {axis for axis in gone if call.x.shape[axis] == 1}
    if not call.x.batch:
        return reshape_to(call, call.output_shapes[0])
    if call.x.batch in gone:
        call.batch = 0
        call.rearrange(call.output_shapes[0])
        return call.freeze_all("a squeeze of the batch axis")[0]
    call.moves, call.memory = True, "view"
    call.batch -= sum(axis < call.x.batch for axis in gone)
    return call.x.labels.squeeze(tuple(gone))


@rulebook.rule("ops.Ravel")
def ravel(call):
    call.moves = True
    call.rearrange(call.output_shapes[0])
    return call.freeze_all("a reshape that changes the batch axis")[0]


@rulebook.rule("ops.DepthToSpace", file_ops="DEPTH_TO_SPACE")
def depth_to_space(call):
    """Pixel shuffle: each position of a block loses the same channels."""
    call.moves = True
    blocks = call.argument(1, "block_size") ** 2
    axis = call.channel_axis()
    channels = call.channels(axis)
    if _are_together(call):
        apart = call.tie(channels.reshape(-1, blocks), 1)
    else:
        apart = call.tie(channels.reshape(blocks, -1), 0)
    return call.spread(apart.reshape(-1), axis)


@rulebook.rule("ops.SpaceToDepth", file_ops="SPACE_TO_DEPTH")
def space_to_depth(call):
    call.moves = True
    blocks = call.argument(1, "block_size") ** 2
    axis = call.channel_axis()
    copy = np.repeat if _are_together(call) else np.tile
    return call.spread(copy(call.channels(axis), blocks), axis)


def _are_together(call):
    """Whether the positions of a block lie side by side for each channel.

    Else the channels of each position do.
    """
    first = call.config.get("data_format") == "channels_first"
    return first and keras.backend.backend() != "tensorflow"
