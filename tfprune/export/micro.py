"""Firmware sources for a .tflite file, with the RAM it was seen to need."""

import dataclasses
import os
import pathlib

from absl import logging

from tfprune.export import c_source
from tfprune.export import files
from tfprune.export import interpreter
from tfprune.export import kernels
from tfprune.export import model_file


@dataclasses.dataclass(frozen=True)
class Arena:
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


@dataclasses.dataclass(frozen=True)
class MicroSource:
    """What `export_micro` wrote.

    Attributes:
        source: `str`, path of the `.cc` file.
        header: `str`, path of the `.h` file.
        name: `str`, what all names in them begin with.
        flash_bytes: `int`, the size of the array.
        arena: `Arena`.
        resolver_methods: `tuple` of `str`, how the kernels are registered.
    """

    source: str
    header: str
    name: str
    flash_bytes: int
    arena: Arena
    resolver_methods: tuple


def arena(path):
    """Measures the tensor arena of a .tflite file.

    The file runs on the TFLite Micro interpreter of this machine. Pointers
    are wider here than on a 32-bit microcontroller, which needs a little
    less.

    Args:
        path: `str` or path-like.

    Returns:
        An `Arena`.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        RuntimeError: If TFLite Micro cannot run the file.
        ValueError: If it is not a TFLite model.
    """
    file = model_file.read(path)
    inputs = [(tensor.shape, tensor.dtype) for tensor in file.inputs]
    return Arena(**interpreter.ask_micro(file, action="measure", inputs=inputs))


def arena_bytes(path):
    """The bytes of tensor arena that a .tflite file runs in; see `arena`."""
    return arena(path).required_bytes


def export_micro(
    tflite_path, out, *, name=None, flash_bytes=None, ram_bytes=None
):
    """Writes a .tflite file as C source and header for TFLite Micro.

    The header holds shapes, types, scales and zero points of inputs and
    outputs, the measured arena and the op resolver's list. Both files are
    there whole or not at all.

    Args:
        tflite_path: `str` or path-like, the file to embed.
        out: `str` or path-like: an existing folder, or the path of the two
            files without `.cc` and `.h` ("firmware/model").
        name: What all names in the files begin with; from the file name by
            default. Whatever it is, it becomes a C identifier.
        flash_bytes: `int`, the most that the array may take.
        ram_bytes: `int`, the most that the arena may take.

    Returns:
        A `MicroSource`.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        OSError: If the files cannot be read or written.
        RuntimeError: If TFLite Micro cannot run the file.
        ValueError: If it is not a TFLite model, if TFLite Micro has no
            kernel for an op, or if a budget is exceeded; tells by how much.

    Example:

    >>> sources = export_micro("small.tflite", "firmware/model",
    ...                        flash_bytes=64_000, ram_bytes=40_000)
    >>> sources.arena.required_bytes
    """
    prefix = _prefix(tflite_path, out)
    source, header = (
        files.writable(prefix.with_name(prefix.name + suffix))
        for suffix in (".cc", ".h")
    )
    file = model_file.read(tflite_path)
    methods = kernels.resolver_methods(file.ops)
    measured = arena(tflite_path)
    _check_budgets(file, measured, flash_bytes, ram_bytes)
    name = c_source.identifier(prefix.name if name is None else name)
    data = pathlib.Path(tflite_path).read_bytes()
    text = c_source.header(file, name, measured, methods)
    files.write(
        {
            source: c_source.source(data, name, header.name).encode(),
            header: text.encode(),
        }
    )
    logging.info("Wrote %s and %s.", source, header)
    return MicroSource(
        source=str(source),
        header=str(header),
        name=name,
        flash_bytes=len(data),
        arena=measured,
        resolver_methods=tuple(methods),
    )


def _prefix(tflite_path, out):
    """The path of the two files without their suffixes."""
    separators = tuple(s for s in (os.sep, os.altsep) if s)
    if os.path.isdir(out) or str(out).endswith(separators):
        return pathlib.Path(out, pathlib.Path(tflite_path).stem)
    out = pathlib.Path(out)
    return out.with_suffix("") if out.suffix in (".cc", ".h") else out


def _check_budgets(file, measured, flash_bytes, ram_bytes):
    needs = {
        "flash_bytes": (flash_bytes, file.file_bytes, "array"),
        "ram_bytes": (ram_bytes, measured.required_bytes, "tensor arena"),
    }
    over = [
        f"{argument}={limit}, the {what} takes {bytes_:,} bytes, "
        f"{bytes_ - limit:,} too many"
        for argument, (limit, bytes_, what) in needs.items()
        if limit is not None and bytes_ > limit
    ]
    if over:
        raise ValueError(
            f"The model must fit its budgets. Received: {'; '.join(over)}. "
            "Remove more channels, or quantize to int8."
        )
