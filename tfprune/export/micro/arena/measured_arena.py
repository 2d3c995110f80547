"""The arena of a file as TFLite Micro takes it on this machine."""

import dataclasses

from tfprune.core import printed
from tfprune.export.file import model_file
from tfprune.export.run import interpreter


@dataclasses.dataclass(frozen=True)
class Arena(printed.Printed):
    """The tensor arena of the TFLite Micro interpreter, measured.

    Attributes:
        required_bytes: `int`, the smallest arena that the model starts and
            runs in, a multiple of 16.
        used_bytes: `int`, what the interpreter holds once it has started.
        shared_bytes: `int`, of these, for activations, which take turns.
        persistent_bytes: `int`, of these, for all else.
    """

    required_bytes: int
    used_bytes: int
    shared_bytes: int
    persistent_bytes: int


def arena(path):
    """Measures the tensor arena of a .tflite file on this machine.

    Its TFLite Micro interpreter has the reference kernels, and pointers of 64
    bits: a microcontroller needs less for its records, and more for kernels
    with scratch buffers; see `arena_bytes`.

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


def arenas(paths):
    """The same for several files that take the same inputs: a list."""
    file = model_file.read(paths[0])
    found = interpreter.ask_micro(
        file,
        action="measure",
        paths=[str(path) for path in paths],
        inputs=[(tensor.shape, tensor.dtype) for tensor in file.inputs],
    )
    return [Arena(**facts) for facts in found]


def seconds(paths, runs=10):
    """How long files take on the TFLite Micro interpreter of this machine.

    It has the reference kernels, whose time is close to proportional to the
    multiply-adds: compare files by it, not with a microcontroller.

    Args:
        paths: list of `str` or path-like, files that take the same inputs.
        runs: `int`, inferences of each, which take turns.

    Returns:
        List of float, the least seconds of an inference.

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
