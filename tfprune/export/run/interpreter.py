"""Runs .tflite files on TFLite or TFLite Micro, sample by sample."""

import concurrent.futures
import os
import pathlib

import numpy as np
from absl import logging

from tfprune.core import packages
from tfprune.core.files import array_files
from tfprune.core.files import damage
from tfprune.core.files import leftovers
from tfprune.core.processes import child
from tfprune.export.file import model_file
from tfprune.export.file import packing
from tfprune.export.run import litert
from tfprune.export.run import micro_runner
from tfprune.export.run import refusals

# Fewer samples are not worth a process of their own.
_LEAST_ROWS = 16


def run(path, x, runtime="tflite"):
    """The outputs of a .tflite file for a batch of inputs.

    Args:
        path: `str` or path-like.
        x: array `(N, ...)` of real values; for several inputs a tuple, list
            or dict (by name) of arrays. Quantized if the file's inputs are.
        runtime: "tflite" or its new name "litert", the interpreter for phones
            and computers with its fastest kernels; "reference", the same with
            its reference kernels, if they have all ops and compute them right;
            "micro", the one for microcontrollers.

    Returns:
        An array `(N, ...)` of real values, dequantized if the file's outputs
        are quantized; a tuple of arrays if it has several outputs.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        RuntimeError: If the runtime cannot run the file.
        ValueError: If the file is not a TFLite model with a batch size of 1, if
            `x` does not fit its inputs, or if there is no such runtime.

    Example:

    >>> logits = interpreter.run("small.tflite", images, runtime="micro")
    >>> np.mean(logits.argmax(1) == labels)
    """
    if not isinstance(runtime, str) or runtime not in _RUNTIMES:
        raise ValueError(
            f"runtime must be one of {', '.join(_RUNTIMES)}. Received: "
            f"runtime={runtime!r}."
        )
    file = model_file.read(path)
    columns = file.encode(x)
    results = [
        tensor.decode(values)
        for tensor, values in zip(
            file.outputs, _RUNTIMES[runtime](file, columns), strict=True
        )
    ]
    return results[0] if len(results) == 1 else tuple(results)


def stored(file, x):
    """Inputs and TFLite Micro's outputs for them, as the file stores them.

    Args:
        file: `model_file.ModelFile`.
        x: as for `run`.

    Returns:
        List of arrays `(N, ...)`: the inputs, then the outputs.
    """
    columns = file.encode(x)
    return [*columns, *_run_micro(file, columns)]


def outputs(file, x):
    """TFLite's outputs, as the file stores them.

    Args:
        file: `model_file.ModelFile`.
        x: as for `run`.

    Returns:
        List of arrays `(N, ...)`.
    """
    return litert.invoke(file, file.encode(x))


def random_inputs(file, count):
    """Random inputs for `run`, from a fixed seed.

    Args:
        file: `model_file.ModelFile`.
        count: `int`, the number of samples.

    Returns:
        List of arrays `(count, ...)`: uniform over the range of a quantized
        input, standard normal for floats, zeros for plain integers, which may
        be indices.
    """
    rng = np.random.default_rng(0)
    columns = []
    for tensor in file.inputs:
        shape = (count, *tensor.shape[1:])
        if tensor.scale is not None:
            limits = np.iinfo(tensor.dtype)
            steps = rng.integers(limits.min, limits.max + 1, shape)
            columns.append(tensor.decode(steps))
        elif np.dtype(tensor.dtype).kind == "f":
            columns.append(rng.normal(size=shape).astype(tensor.dtype))
        else:
            columns.append(np.zeros(shape, tensor.dtype))
    return columns


def _run_reference(file, columns):
    return litert.invoke(file, columns, "reference")


def _run_micro(file, columns):
    """Runs the samples in as many processes as there are cores."""
    warn_of_loops(file)
    count = len(columns[0])
    most = min(_cores(), max(1, count // _LEAST_ROWS))
    ends = [count * i // most for i in range(most + 1)]
    with leftovers.folder() as folder:
        folder = pathlib.Path(folder)
        inputs = [folder / f"input_{i}.npy" for i in range(len(columns))]
        for path, column in zip(inputs, columns, strict=True):
            array_files.save(path, column)

        def ask(first, end):
            paths = [
                folder / f"output_{first}_{i}.npy"
                for i in range(len(file.outputs))
            ]
            ask_micro(
                file,
                action="run",
                path=file.path,
                inputs=[str(path) for path in inputs],
                rows=[first, end],
                outputs=[str(path) for path in paths],
            )
            return [np.load(path) for path in paths]

        with concurrent.futures.ThreadPoolExecutor(most) as threads:
            parts = list(threads.map(ask, ends[:-1], ends[1:]))
        return [np.concatenate(found) for found in zip(*parts, strict=True)]


def warn_of_loops(file):
    """Logs a warning if TFLite Micro may compute a file wrongly.

    Args:
        file: `model_file.ModelFile`.
    """
    if "WHILE" in file.ops:
        logging.warning(
            "TFLite Micro runs a file with loops. %s", refusals.LOOPS
        )


def _cores():
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ask_micro(file, shown=None, **request):
    """Sends a request to `micro_runner.py` in a process of its own.

    Args:
        file: `model_file.ModelFile`, whose ops are named in errors.
        shown: `str` or path-like, the path to name in errors; by default, that
            of `file`.
        **request: The entries of the request that `micro_runner.handle` takes.

    Returns:
        What `micro_runner.handle` returns.

    Raises:
        ImportError: If the package tflite-micro is missing.
        RuntimeError: If the interpreter refuses the file or crashes on it.
    """
    packages.require("tflite_micro")
    shown = file.path if shown is None else str(shown)
    refusals.check_npu(file, shown)
    request["seconds"] = micro_runner.seconds(file.ops)
    with leftovers.folder() as folder:
        if "path" in request:
            request["path"] = _whole(request["path"], folder, "file")
        if "paths" in request:
            request["paths"] = [
                _whole(path, folder, f"file_{i}")
                for i, path in enumerate(request["paths"])
            ]
        with child.Child(micro_runner.__file__) as process:
            answer = process.ask(request)
    if answer.error and refusals.is_endless(answer.error):
        raise RuntimeError(
            "TFLite Micro must end each inference. Received: "
            f"path={shown!r}, with loops (WHILE), still in one after "
            f"{micro_runner.seconds(file.ops)} s. {refusals.LOOPS}"
        )
    if answer.error:
        hint = (
            " It crashes on damaged files, and on int8 files in which a layer "
            "was almost constant on the calibration data."
        )
        reason = " ".join(answer.error.split())
        raise RuntimeError(
            "TFLite Micro must be able to run the file. Received: "
            f"path={shown!r}, and its interpreter failed ({reason})."
            f"{_refused(file, answer.log)}"
            f"{hint if answer.crashed else ''} Its log ends: {answer.ending}"
        )
    return answer.result


def _whole(path, folder, name):
    """The path of a file, or of one in a folder with all data inside it."""
    before = pathlib.Path(path).read_bytes()
    with damage.reading(path):
        data = packing.inside(before)
    if data is before:
        return path
    copy = pathlib.Path(folder, f"{name}.tflite")
    copy.write_bytes(data)
    return str(copy)


def _refused(file, log):
    """A sentence that names the refused op, or an empty string."""
    kind, names = refusals.culprits(file.path, log)
    if kind is None or not names:
        return ""
    return f" It has no kernel for the {kind} that computes {names[0]!r}."


_RUNTIMES = {
    "tflite": litert.invoke,
    "litert": litert.invoke,
    "reference": _run_reference,
    "micro": _run_micro,
}
