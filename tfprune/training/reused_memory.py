"""Keeps memory between training steps instead of returning it to the system.

TensorFlow 2.21 tells glibc's `malloc` to return every freed block of 128 kB or
more as soon as a `tf.data` generator is made, which `fit` does for generators
and `keras.utils.PyDataset`. From then on each step asks the system for all of
its feature maps anew, page by page.
"""

import ctypes
import functools
import sys

import keras

# Parameters of mallopt(3): beyond how many free bytes at its end the heap
# shrinks, and from which size on blocks are mapped one by one. The latter is
# the largest that glibc takes.
_TRIM_THRESHOLD, _KEPT = -1, 1 << 30
_MMAP_THRESHOLD, _LARGEST = -3, 32 << 20


@functools.cache
def reuse_memory() -> bool:
    """Lets the process keep up to 1 GiB of freed memory for its next step.

    On a CPU, `fit` on a `PyDataset` or a generator is faster then; on arrays it
    is as before. `fast` and `compress` call it. It holds for the whole process,
    once called.

    Returns:
        `bool`, whether it could be set: on Linux with glibc and the TensorFlow
        backend.

    Example:

    >>> reuse_memory()  # doctest: +SKIP
    True
    """
    if sys.platform != "linux" or keras.backend.backend() != "tensorflow":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    _begin_generators()
    return bool(
        mallopt(_MMAP_THRESHOLD, _LARGEST) and mallopt(_TRIM_THRESHOLD, _KEPT)
    )


def _begin_generators():
    """Makes TensorFlow's first generator, whose setting ours replaces."""
    import tensorflow as tf

    spec = tf.TensorSpec((), "int32")
    first = tf.data.Dataset.from_generator(
        lambda: iter((0,)), output_signature=spec
    )
    next(iter(first))
