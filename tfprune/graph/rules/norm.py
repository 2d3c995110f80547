"""Normalisation layers, and layers with one weight per channel."""

import numpy as np

from tfprune.graph import rulebook


@rulebook.rule("BatchNormalization")
def batch_normalization(call):
    axis = np.atleast_1d(call.config["axis"])[0]
    channels = call.channels(axis)
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        call.bind(name, 0, channels)
    call.memory = "inplace"
    if call.kwargs.get("training"):
        call.drive(channels)
    return call.spread(channels, axis)


@rulebook.rule("LayerNormalization", "RMSNormalization", "GroupNormalization")
@rulebook.rule("UnitNormalization")
def mixing_normalization(call):
    name = type(call.live).__name__
    call.freeze(call.x.labels, f"{name} mixes channels")
    return call.x.labels


@rulebook.rule("Normalization")
def normalization(call):
    # Its statistics are weights or plain arrays, by how it was made.
    call.freeze(call.x.labels, "statistics of Normalization")
    call.memory = "inplace"
    return call.x.labels


@rulebook.rule("PReLU")
def prelu(call):
    call.memory = "inplace"
    shared = np.atleast_1d(call.config["shared_axes"] or ())
    for axis in call.x.varying:
        if axis not in shared:
            call.bind("alpha", axis - 1, call.channels(axis))
    return call.x.labels


@rulebook.rule("LayerScale")
def layer_scale(call):
    channels = call.channels(-1)
    call.bind("gamma", 0, channels)
    call.count("projection_dim", channels)
    call.memory = "inplace"
    return call.spread(channels, -1)
