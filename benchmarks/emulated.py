"""Runs files on emulated cores, with the sources of TFLite Micro."""

import functools
import sys
from pathlib import Path

import numpy as np
from absl import flags

# The tools are not installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfprune.export.file import model_file
from tfprune.export.micro import firmware_folder
from tfprune.export.run import interpreter
from tools import firmware_library
from tools import layer_costs

FLAGS = flags.FLAGS
flags.DEFINE_string("tflite_micro", "", "sources of TFLite Micro")
flags.DEFINE_string("build", "build/firmware", "folder of objects")


def measure(folder, path, kernels, core):
    """The arena, the instructions and the outputs of a file on a core.

    Args:
        folder: `pathlib.Path`, for programs, inputs and outputs.
        path: of the file.
        kernels: "reference" or "cmsis-nn".
        core: a key of `emulated_boards.BOARDS`.

    Returns:
        `dict`: the least arena and what the interpreter says that it uses, in
        bytes; instructions; how many of the output values differ from those
        of the interpreter on this machine, at most by how much as they are
        stored, and how many there are.
    """
    program = _program(folder, kernels, core)
    file = model_file.read(path)
    random = interpreter.random_inputs(file, 1)
    columns = interpreter.stored(file, random)
    count = len(file.inputs)
    inputs = b"".join(c[:1].tobytes() for c in columns[:count])
    work = folder / f"{core}-{kernels}"
    found = program.least_arena(
        path,
        firmware_folder.arena_bytes(path, kernels, core),
        work,
        inputs,
        file.ops.get("VAR_HANDLE", 0),
    )
    wanted = np.concatenate([c[:1].ravel() for c in columns[count:]])
    got = np.frombuffer(found.outputs, wanted.dtype)
    return {
        "least": found.least,
        "used": found.used,
        "instructions": found.instructions,
        "differ": int((got != wanted).sum()),
        "most": float(np.abs(got.astype(float) - wanted.astype(float)).max()),
        "values": wanted.size,
    }


@functools.cache
def _program(folder, kernels, core):
    """One program per core, with all kernels."""
    library = firmware_library.Library(
        FLAGS.tflite_micro, core, kernels, FLAGS.build
    )
    return layer_costs.Program(library, folder / f"{core}-{kernels}")
