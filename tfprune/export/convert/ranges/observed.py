"""What tensors of a graph are on calibration samples."""

import dataclasses
import math

import numpy as np

from tfprune.export.convert import converter
from tfprune.export.convert.rewritten import plain_ops


@dataclasses.dataclass
class Seen:
    """What a tensor was on all samples."""

    low: float = math.inf
    high: float = -math.inf
    # Whether each value is 0 or huge.
    masks: bool = True
    # The smallest size of a value that is not 0.
    least: float = math.inf
    # The longest axis, any of which a softmax may follow.
    width: int = 1
    # The number of axes.
    axes: int = 0

    @property
    def largest(self):
        return max(abs(self.low), abs(self.high))

    def join(self, other):
        """Widens the range by that of another tensor."""
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)

    def add(self, array):
        self.low = min(self.low, float(array.min()))
        self.high = max(self.high, float(array.max()))
        size = np.abs(array)
        self.masks &= bool(((size == 0) | (size >= plain_ops.HUGE)).all())
        least = np.min(size, initial=np.inf, where=size > 0)
        self.least = min(self.least, float(least))
        self.width = max(array.shape, default=1)
        self.axes = array.ndim


def seen(folder, manifest, samples, names):
    """What tensors are on samples.

    Args:
        folder, manifest, samples: as for `rewrite`.
        names: list of the names of tensors.

    Returns:
        `dict` from these names to `Seen`; only of floats.
    """
    import tensorflow as tf

    function, _ = converter.load(folder, {**manifest, "outputs": names})
    found = {name: Seen() for name in names}
    for i in range(len(samples[0])):
        row = [tf.constant(np.array(array[i : i + 1])) for array in samples]
        for name, value in zip(names, function(*row), strict=True):
            if value.dtype.is_floating:
                found[name].add(value.numpy())
    return found
