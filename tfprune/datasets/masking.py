"""What does not count: steps that Keras masks, labels that a loss ignores."""

import keras
import numpy as np


class _Reader(keras.layers.Layer):
    """Keeps the mask that Keras hands to a layer with its input."""

    def __init__(self):
        super().__init__(name="reader")
        self.supports_masking, self.mask = True, None

    def call(self, x, mask=None):
        self.mask = mask
        return x


def of_tensor(output):
    """The Keras mask of a tensor that a model gave, or `None`."""
    reader = _Reader()
    reader(output)
    return reader.mask


def as_numpy(output):
    """A tensor and its Keras mask, which may be `None`, as numpy arrays."""
    mask = of_tensor(output)
    if mask is not None:
        mask = keras.ops.convert_to_numpy(mask)
    return keras.ops.convert_to_numpy(output), mask


def unmasked(mask, *arrays):
    """What a mask leaves of labels and outputs, as `model.evaluate` counts.

    Args:
        mask: bool array of the first axes of the arrays, or `None`.
        *arrays: of shape `(batch, ...)`, the last one the outputs.
    """
    if mask is None:
        return arrays
    mask = np.asarray(mask, bool)
    fits = all(a.shape[: mask.ndim] == mask.shape for a in arrays)
    if not fits or arrays[-1].ndim <= mask.ndim:
        return arrays  # One answer for the whole sequence.
    return tuple(a[mask] for a in arrays)


def without_label(label, y, *arrays):
    """Leaves out the answers whose label is one that does not count.

    Args:
        label: `int`, or `None` to leave out nothing.
        y: array of class indices, one for each vector of scores.
        *arrays: scores of shape `(batch, ..., classes)`.

    Returns:
        A tuple of `y` and the arrays.
    """
    shape = arrays[0].shape[:-1]
    if label is None or y.size != np.prod(shape):
        return (y, *arrays)
    y = y.reshape(shape)
    kept = y != label
    return (y[kept], *(array[kept] for array in arrays))
