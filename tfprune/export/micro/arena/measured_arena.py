"""Measures the arena of a file by TFLite Micro on this machine."""

import dataclasses

from tfprune.core import printed
from tfprune.export.file import model_file
from tfprune.export.run import interpreter


@dataclasses.dataclass(frozen=True)
class Arena(printed.Printed):
    """The tensor arena of the TFLite Micro interpreter, measured.

    Attributes:
        required_bytes: `int`, the smallest arena in which the model starts and
            runs, a multiple of 16.
        used_bytes: `int`, the arena in use once the model has started.
        shared_bytes: `int`, the part of it for activations, which share space.
        persistent_bytes: `int`, the rest of it.
    """

    required_bytes: int
    used_bytes: int
    shared_bytes: int
    persistent_bytes: int


def arena(path):
    """Measures the tensor arena of a .tflite file on this machine.

    The interpreter has the reference kernels and 64-bit pointers. A
    microcontroller needs less for records, and more for kernels with scratch
    buffers; see `arena_bytes`.

    Args:
        path: `str` or path-like.

    Returns:
        An `Arena`.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        RuntimeError: If TFLite Micro cannot run the file.
        ValueError: If it is not a TFLite model.
    """
    return arenas([path])[0]


def arenas(paths, shown=None):
    """`arena` of several files with the same inputs: a list of `Arena`.

    Errors name the ops of the first file, and its path or the one `shown`.
    """
    file = model_file.read(paths[0])
    found = interpreter.ask_micro(
        file,
        shown=shown,
        action="measure",
        paths=[str(path) for path in paths],
        inputs=[(tensor.shape, tensor.dtype) for tensor in file.inputs],
    )
    return [Arena(**facts) for facts in found]


def seconds(paths, runs=10):
    """Times files on the TFLite Micro interpreter of this machine.

    It has the reference kernels, whose time is almost proportional to the
    multiply-adds. Use it to compare files, not to predict the time on a
    microcontroller.

    Args:
        paths: list of `str` or path-like, files with the same inputs.
        runs: `int`, inferences per file; the files take turns.

    Returns:
        List of `float`, the shortest inference of each file in seconds.

    Raises:
        ImportError, RuntimeError, ValueError: as `arena`.
    """
    file = model_file.read(paths[0])
    return interpreter.ask_micro(
        file,
        action="time",
        paths=[str(path) for path in paths],
        inputs=[(tensor.shape, tensor.dtype) for tensor in file.inputs],
        runs=runs,
    )
