"""Data that can be read only once, kept for further readings."""

import keras
import numpy as np


def replayed(data):
    """Lets a generator serve several readings, one after the other.

    Each reading goes on in the generator. Once it has ended, the batches of the
    first reading, which are kept, come again.

    Args:
        data: as for `samples.batches`.

    Returns:
        `data` itself if they can be read several times.
    """
    once = hasattr(data, "__next__") and not isinstance(data, _Replayed)
    return _Replayed(data) if once else data


class _Replayed:
    """Still an iterator: whoever needs the same data each time refuses it."""

    def __init__(self, source):
        self._source = source
        self._first = None

    def __next__(self):
        return next(self._source)

    def __iter__(self):
        kept, fresh = None, False
        if self._first is None:
            kept = self._first = []
        for batch in self._source:
            fresh = True
            if kept is not None:
                kept.append(keras.tree.map_structure(_copy, batch))
            yield batch
        if not fresh:
            yield from self._first


def _copy(part):
    """Of its own: a generator may fill the same array again."""
    if not hasattr(part, "shape"):
        return part
    return np.array(keras.ops.convert_to_numpy(part))
