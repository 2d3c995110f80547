"""Normalization layers, and layers with one weight per channel."""

import numpy as np

from tfprune.graph import rulebook


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


@rulebook.rule("LayerNormalization", "RMSNormalization")
def layer_normalization(call):
    axes = np.atleast_1d(call.config["axis"]) % call.x.rank
    labels, name = call.x.labels, type(call.live).__name__
    call.gain("scale" if name.startswith("RMS") else "gamma")
    if not set(axes) & set(call.x.varying):
        return labels
    if len(axes) > 1 or len(call.x.varying) > 1:
        call.freeze(labels, f"{name} mixes channels")
        return labels
    if call.mix(labels, f"{name} mixes channels"):
        weights = ("scale",) if name.startswith("RMS") else ("gamma", "beta")
        for variable in weights:
            call.bind(variable, 0, labels.reshape(-1))
    return labels


@rulebook.rule("GroupNormalization")
def group_normalization(call):
    """Exact if each channel is a group of its own."""
    axis = call.config["axis"] % call.x.rank
    channels = call.channels(axis)
    call.gain("gamma")
    groups = call.config["groups"]
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


@rulebook.rule("UnitNormalization")
def unit_normalization(call):
    """Like layer normalization, without weights."""
    axes = np.atleast_1d(call.config["axis"]) % call.x.rank
    if set(axes) & set(call.x.varying):
        call.mix(call.x.labels, "UnitNormalization mixes channels")
    return call.x.labels


@rulebook.rule("Normalization")
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
