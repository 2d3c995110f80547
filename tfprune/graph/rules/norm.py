"""Normalization layers, and layers with one weight per channel."""

import keras
import numpy as np

from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib
from tfprune.graph.lowering import file_op

# Of maps that SQUARED_DIFFERENCE takes, without the batch axis.
_LARGEST_RANK = 3


@rulebook.rule("BatchNormalization", file_ops=("MUL", "ADD"))
def batch_normalization(call):
    axis = np.atleast_1d(call.config["axis"])[0] % call.x.rank
    call.gain("gamma")
    if call.x.varying and axis not in call.x.varying:
        # Statistics in training are taken over the channels.
        return call.x.labels
    channels = call.channels(axis)
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        call.bind(name, 0, channels)
    call.memory = "inplace"
    if call.kwargs.get("training"):
        call.drive(channels)
    return call.spread(channels, axis)


@rulebook.rule("LayerNormalization")
def layer_normalization(call):
    row = over(call.x, call.config["axis"])
    _standardize(call.file, call.x, row, file_op.like(call.x))
    return _normalized(call, "gamma", "beta")


@rulebook.rule("RMSNormalization")
def rms_normalization(call):
    row = over(call.x, call.config["axis"])
    mean = call.file.op("MEAN", call.file.look_up(call.x), made=row)
    scale = call.file.op("RSQRT", call.file.op("ADD", mean))
    call.file.op("MUL", call.x, scale)
    return _normalized(call, "scale")


def _normalized(call, gain, *others):
    """Labels behind a layer that divides by a mean over some axes."""
    axes = np.atleast_1d(call.config["axis"]) % call.x.rank
    labels = call.x.labels
    reason = f"{type(call.live).__name__} mixes channels"
    call.gain(gain)
    if not set(axes) & set(call.x.varying):
        return labels
    if len(axes) > 1 or len(call.x.varying) > 1:
        call.freeze(labels, reason)
        return labels
    if call.mix(labels, reason):
        for variable in (gain, *others):
            call.bind(variable, 0, labels.reshape(-1))
    return labels


@rulebook.rule("ops.BatchNorm", file_ops=("MUL", "ADD"))
def batch_norm(call):
    """A normalization by arrays, of one number for each channel."""
    if len(call.tensors) > 1:
        return call.freeze_all("a normalization by tensors")[0]
    axis = call.config["axis"] % call.x.rank
    if axis in call.x.varying:
        _follow(call, call.channels(axis))
    call.memory = "inplace"
    return call.x.labels


@rulebook.rule("ops.LayerNorm", "ops.RMSNorm")
def normalization_op(call):
    axes = np.atleast_1d(call.config["axis"]) % call.x.rank
    labels, varying = call.x.labels, call.x.varying
    row, name = over(call.x, axes), call.class_name
    _standardize(call.file, call.x, row, file_op.like(call.x))
    if len(call.tensors) > 1:
        return call.freeze_all(f"{name} by tensors")[0]
    if not set(axes) & set(varying):
        return labels
    if len(axes) > 1 or len(varying) > 1:
        call.freeze(labels, f"{name} mixes channels")
    elif call.mix(labels, f"{name} mixes channels"):
        _follow(call, labels.reshape(-1))
    return labels


def _follow(call, channels):
    """Makes the arrays that an op is given lose the channels that go."""
    for item in keras.tree.flatten((call.args, call.kwargs)):
        if isinstance(item, tensor_lib.Constant):
            call.edit(item.keys, channels, 0)


def over(x, axes):
    """What a mean of `x` over some axes makes, which keeps them."""
    axes = np.atleast_1d(axes) % x.rank
    parts = (1 if a in axes else p for a, p in enumerate(x.parts, start=1))
    return file_op.Made(tuple(parts))


def _standardize(file, x, row, weighted):
    """Adds the ops of a normalization by mean and variance.

    Args:
        file: an `InFile`.
        x: what is normalized.
        row: a `Made`, as the mean is.
        weighted: a `Made`, as the variance times the weights is.
    """
    mean = file.op("MEAN", x, made=row)
    shift = file.look_up(mean)
    spread = variance(file, x, mean, file_op.like(row))
    scale = file.op("RSQRT", file.op("ADD", spread))
    scale = file.op("MUL", scale, made=weighted)
    shift = file.op("MUL", shift, scale, made=file_op.like(weighted))
    shift = file.op("ADD", shift)
    return file.op("ADD", file.op("MUL", x, scale), shift)


def variance(file, x, mean, made):
    """Adds the ops of the variance around a mean; returns it, which is `made`.

    Args:
        file: an `InFile`.
        x, mean, made: `Tensor`s or `Made`s.
    """
    if len(x.parts) > _LARGEST_RANK:
        squares = file.look_up(file.op("SUB", x, mean))
    else:
        squares = file.op("SQUARED_DIFFERENCE", x, mean)
    return file.op("MEAN", squares, made=made)


@rulebook.rule("GroupNormalization")
def group_normalization(call):
    """Exact if each channel is a group of its own."""
    axis = call.config["axis"] % call.x.rank
    channels = call.channels(axis)
    call.gain("gamma")
    groups = call.config["groups"]
    _group_ops(call, axis - 1)
    if groups == channels.size:
        call.count("groups", channels)
    elif groups != -1:
        if not call.mix(call.x.labels, "GroupNormalization mixes channels"):
            return call.x.labels
        # Keras requires groups of equal size, so that each group has to lose
        # the channels at the same positions.
        call.tie(channels.reshape(groups, -1), 0)
    call.drive(channels)
    for variable in ("gamma", "beta"):
        call.bind(variable, 0, channels)
    return call.spread(channels, axis)


def _group_ops(call, axis):
    """Adds the ops of a normalization, between reshapes to groups and back."""
    outer = list(call.x.parts)
    channels = outer.pop(axis)
    ones = (1,) * len(outer)
    # How many channels a group has is not known yet.
    grouped = call.file.op(
        "RESHAPE", call.x, made=file_op.Made((*outer, 1, channels))
    )
    groups = call.config["groups"] if call.config["groups"] > 0 else channels
    row = file_op.Made((*ones, groups, 1))
    weighted = file_op.Made((*ones, 1, channels))
    done = _standardize(call.file, grouped, row, weighted)
    call.file.op("RESHAPE", done, made=file_op.like(call.x))


@rulebook.rule("UnitNormalization")
def unit_normalization(call):
    """Like layer normalization, without weights."""
    axes = np.atleast_1d(call.config["axis"]) % call.x.rank
    _unit_ops(call.file, call.x, axes)
    if set(axes) & set(call.x.varying):
        call.mix(call.x.labels, "UnitNormalization mixes channels")
    return call.x.labels


def _unit_ops(file, x, axes):
    if list(axes) == [x.rank - 1]:
        file.op("L2_NORMALIZATION", x)
        return
    squares = file.op("SUM", file.look_up(x), made=over(x, axes))
    file.op("MUL", x, file.op("RSQRT", squares))


@rulebook.rule("Normalization", file_ops=("SUB", "MUL"))
def normalization(call):
    # Depending on the constructor, its statistics are weights or arrays.
    call.freeze(call.x.labels, "the statistics of Normalization")
    call.memory = "inplace"
    return call.x.labels


@rulebook.rule("PReLU", file_ops="PRELU")
def prelu(call):
    call.memory = "inplace"
    shared = np.atleast_1d(call.config["shared_axes"] or ())
    for axis in call.x.varying:
        if axis not in shared:
            call.bind("alpha", axis - 1, call.channels(axis))
    return call.x.labels


@rulebook.rule("LayerScale", file_ops="MUL")
def layer_scale(call):
    channels = call.channels(-1)
    call.gain("gamma")
    call.bind("gamma", 0, channels)
    call.count("projection_dim", channels)
    call.memory = "inplace"
    return call.spread(channels, -1)
