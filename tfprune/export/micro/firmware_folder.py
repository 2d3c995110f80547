"""Firmware sources for a .tflite file, with the RAM it was seen to need."""

import dataclasses
import math
import pathlib
from collections.abc import Sequence

from absl import logging

from tfprune.core import atomic
from tfprune.core import leftovers
from tfprune.core import typed
from tfprune.export.edit import lean
from tfprune.export.file import model_file
from tfprune.export.micro import c_source
from tfprune.export.micro import firmware
from tfprune.export.micro import kernels
from tfprune.export.run import interpreter

_ALIGNMENT = 16
# What the headers say while the files of two models may lie side by side.
_HALF_WRITTEN = (
    b'#error "This folder was being written: it may hold files of two models.'
    b' If nothing writes to it now, export again."\n'
)


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
        folder: `str`, where it lies.
        files: `tuple` of `str`, the paths in it that were written.
        name: `str`, what all C names begin with.
        flash_bytes: `int`, the size of the array.
        arena: `Arena`, as measured.
        arena_bytes: `int`, the arena that the sources reserve.
        resolver_methods: `tuple` of `str`, how the kernels are registered.
    """

    folder: str
    files: tuple[str, ...]
    name: str
    flash_bytes: int
    arena: Arena
    arena_bytes: int
    resolver_methods: tuple[str, ...]


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


def arena_bytes(path: typed.Path) -> int:
    """The bytes of tensor arena that a .tflite file runs in; see `arena`."""
    return arena(path).required_bytes


def export_micro(
    tflite_path: typed.Path,
    out: typed.Path,
    *,
    name: str | None = None,
    labels: Sequence[str] = (),
    sample: typed.Data = None,
    arena_margin: float = 0.1,
    flash_bytes: int | None = None,
    ram_bytes: int | None = None,
) -> MicroSource:
    """Writes a .tflite file as a project for TFLite Micro.

    The folder holds

    - `model.cc`, `model.h`: the file as an array, aligned and constant, so
      that it stays in flash, without the names and notes in it that a
      microcontroller does not read;
    - `model_settings.h`: arena, shapes, types, scales and zero points;
    - `model_ops.h`: registers the kernels that the model needs, no others;
    - `model_golden.cc`, `.h`: an input and the output that belongs to it;
    - `main.cc`: runs the model on that input and compares;
    - `CMakeLists.txt`: builds it all, TFLite Micro at hand;
    - `arduino/NAME/`: the same as a sketch.

    All files are there whole or not at all. While those of another model are
    exchanged, and after a kill at that moment, the headers refuse to compile.
    `main.cc`, `CMakeLists.txt` and the sketch are a start for code of one's
    own: where they are already there, they stay as they are.

    Args:
        tflite_path: `str` or path-like, the file to embed.
        out: `str` or path-like, the folder to write; it is made if it is
            missing, but not the one that it lies in.
        name: What all C names begin with; from the file name by default.
            Whatever it is, it becomes a C identifier.
        labels: the names of the classes, `str`s, in the order of the output.
        sample: the input of the self-test, shape `(1, ...)`, real values; a
            tuple or list of them for several inputs. Random by default.
        arena_margin: float of at least 0, what is reserved beyond the
            measured arena: 0.1 is a tenth. Never above `ram_bytes`.
        flash_bytes: `int`, the most that the array may take.
        ram_bytes: `int`, the most that the arena may take.

    Returns:
        A `MicroSource`.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        OSError: If the files cannot be read or written.
        RuntimeError: If TFLite Micro cannot run the file.
        ValueError: If it is not a TFLite model, if TFLite Micro has no
            kernel for an op, if labels or the sample do not fit, or if a
            budget is exceeded; tells by how much.

    Example:

    >>> sources = export_micro("small.tflite", "firmware",
    ...                        flash_bytes=64_000, ram_bytes=40_000)
    >>> sources.arena.required_bytes
    """
    out = atomic.writable_folder(out)
    file = model_file.read(tflite_path)
    labels = _labels(labels, file)
    methods = kernels.resolver_methods(file.ops)
    name = c_source.identifier(
        pathlib.Path(tflite_path).stem if name is None else name
    )
    data = lean.without_notes(pathlib.Path(tflite_path).read_bytes())
    with leftovers.folder() as folder:
        embedded = pathlib.Path(folder, "model.tflite")
        embedded.write_bytes(data)
        # An error names the first one.
        _, measured = arenas([tflite_path, embedded])
        file = model_file.read(embedded)
        _check_budgets(file, measured, flash_bytes, ram_bytes)
        golden = _golden(file, sample)
    reserved = _reserved(measured, arena_margin, ram_bytes)
    texts = {
        "model.cc": c_source.source(data, name, labels),
        "model.h": c_source.header(file, name),
        "model_settings.h": c_source.settings(
            file, name, measured, reserved, labels
        ),
        "model_ops.h": c_source.ops(name, methods),
        "model_golden.cc": c_source.golden_source(file, name, golden),
        "model_golden.h": c_source.golden_header(file, name),
    }
    sketch = f"arduino/{name}"
    starts = {
        "main.cc": firmware.main(file, name),
        "CMakeLists.txt": firmware.cmake(name),
        f"{sketch}/{name}.ino": firmware.sketch(file, name),
    }
    # The Arduino IDE compiles what lies beside a sketch.
    copies = {
        f"{sketch}/{path.replace('.cc', '.cpp')}": text
        for path, text in texts.items()
    }
    starts = {k: v for k, v in starts.items() if not (out / k).exists()}
    texts |= copies | starts
    written = {out / path: text.encode() for path, text in texts.items()}
    # Every source includes a header: old and new files never compile together.
    headers = [path for path in written if path.suffix == ".h"]
    atomic.write(written, guards=dict.fromkeys(headers, _HALF_WRITTEN))
    logging.info("Wrote %d files into %s.", len(written), out)
    return MicroSource(
        folder=str(out),
        files=tuple(map(str, written)),
        name=name,
        flash_bytes=file.file_bytes,
        arena=measured,
        arena_bytes=reserved,
        resolver_methods=tuple(methods),
    )


def _golden(file, sample):
    """What is stored of one input and of the outputs that belong to it."""
    if sample is None:
        sample = interpreter.random_inputs(file, 1)
    columns = interpreter.stored(file, sample)
    if len(columns[0]) != 1:
        raise ValueError(
            "One input is required for the self-test. Received: a sample of "
            f"{len(columns[0])}. Take x[:1]."
        )
    return columns


def _labels(labels, file):
    labels = tuple(labels)
    wanted = file.outputs[0].shape[-1] if file.outputs[0].shape else 1
    if labels and (
        len(labels) != wanted or not all(isinstance(t, str) for t in labels)
    ):
        raise ValueError(
            f"{wanted} names of classes are required. Received: "
            f"labels={labels!r}."
        )
    return labels


def _reserved(measured, margin, limit):
    if not margin >= 0:
        raise ValueError(
            "The margin must be 0 or more. Received: "
            f"arena_margin={margin!r}. 0.1 is a tenth."
        )
    wanted = math.ceil(measured.required_bytes * (1 + margin))
    wanted = -(-wanted // _ALIGNMENT) * _ALIGNMENT
    return wanted if limit is None else min(wanted, limit)


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
