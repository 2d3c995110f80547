"""Pads a pruned network with channels of zeros, which kernels compute faster.

On a CPU a convolution in bfloat16 takes 16 channels at a time, and is slow at
other counts (`docs/results/training_speed.md`): a ResNet-56 of half its
channels trains faster with some of the removed channels than without them.

A channel that is zero in every weight that makes, scales, shifts or reads it
gets no gradient, whichever way the rest is trained, if its activation is 0 at
0, as ReLU is: `tfprune.strip` removes it in the end, and the network is the one
that would have been trained without it.
"""

import dataclasses

import keras
import numpy as np

from tfprune import surgery

MULTIPLE = 16


def padded(cut):
    """Builds the network of a cut with some removed channels, all zeros.

    Args:
        cut: a `tfprune.selection.Cut` of a network with ReLUs.

    Returns:
        A Keras model with the outputs of `surgery.apply(cut)`.
    """
    changes = dict(cut.changes)
    for binding in cut.graph.bindings:
        gone = ~cut.keep[binding.labels]
        if gone.any():
            key = id(binding.variable)
            value = changes.get(key, binding.variable)
            value = np.array(keras.ops.convert_to_numpy(value))
            np.moveaxis(value, binding.axis, 0)[gone] = 0
            changes[key] = value
    keep = _more(cut.graph, cut.keep)
    wide = dataclasses.replace(cut, keep=keep, changes=changes)
    return surgery.apply(wide)


def _more(graph, keep):
    """Channels to keep, as many as axes need to have multiples."""
    keep, before = keep.copy(), None
    while before is None or (keep != before).any():
        before = keep.copy()
        for axis in graph.axes:
            count, gone = int(keep[axis].sum()), axis[~keep[axis]]
            keep[gone[: -count % MULTIPLE]] = True
    return keep
