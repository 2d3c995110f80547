"""Slices of weights, copied once into the memory that a variable takes."""

import math

import numpy as np

# Of weights that are cut along several axes, what is copied at a time.
_PART_BYTES = 4 << 20
# Bytes, of the memory of tensors.
_ALIGNMENT = 64


def taken(array, kept):
    """The entries of an array that are kept along some axes.

    Args:
        array: numpy array.
        kept: `dict` from an axis to a bool array of its length.
    """
    cuts = [
        (axis, np.flatnonzero(mask))
        for axis, mask in kept.items()
        if not mask.all()
    ]
    if not cuts:
        return array
    shape = list(array.shape)
    for axis, indices in cuts:
        shape[axis] = len(indices)
    found = _aligned(shape, array.dtype)
    (axis, indices), *others = cuts
    if not others:
        return np.take(array, indices, axis, out=found, mode="clip")
    # Part by part, so that what is cut along one axis only stays small.
    source, target = np.moveaxis(array, axis, 0), np.moveaxis(found, axis, 0)
    step = max(1, _PART_BYTES * len(source) // max(1, array.nbytes))
    for i in range(0, len(indices), step):
        part = np.moveaxis(source[indices[i : i + step]], 0, axis)
        for other, some in others:
            part = np.take(part, some, axis=other)
        target[i : i + step] = np.moveaxis(part, axis, 0)
    return found


def _aligned(shape, dtype):
    """An empty array whose memory a tensor may take."""
    count = math.prod(shape) * dtype.itemsize
    memory = np.empty(count + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + count].view(dtype).reshape(shape)
