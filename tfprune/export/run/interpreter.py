"""Runs .tflite files, on TFLite or on TFLite Micro, sample by sample."""

import pathlib

import numpy as np

from tfprune.core import packages
from tfprune.core.files import leftovers
from tfprune.core.processes import child
from tfprune.export.file import model_file
from tfprune.export.run import litert
from tfprune.export.run import micro_runner
from tfprune.export.run import refusals


def run(path, x, runtime="tflite"):
    """The outputs of a .tflite file for a batch of inputs.

    Args:
        path: `str` or path-like.
        x: array `(N, ...)` of real values; for several inputs a tuple, list
            or dict (by name) of arrays. They are quantized here if the file
            wants that.
        runtime: "tflite" or "litert", its new name, the interpreter of phones
            and computers with its fastest kernels; "reference", the same with
            its plain kernels; "micro", the interpreter of microcontrollers.

    Returns:
        An array `(N, ...)` of real values, dequantized where the file's
        outputs are quantized; a tuple of them for several outputs.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        RuntimeError: If the runtime cannot run the file.
        ValueError: If the file is not a TFLite model with a batch of 1, if
            `x` does not fit it, or if there is no such runtime.

    Example:

    >>> logits = interpreter.run("small.tflite", images, runtime="micro")
    >>> np.mean(logits.argmax(1) == labels)
    """
    if runtime not in _RUNTIMES:
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
    """Inputs, and what TFLite Micro gives for them, as the file stores them.

    Args:
        file: `model_file.ModelFile`.
        x: as for `run`.

    Returns:
        List of arrays `(N, ...)`, of the inputs and then of the outputs.
    """
    columns = file.encode(x)
    return [*columns, *_run_micro(file, columns)]


def outputs(file, x):
    """What TFLite gives for inputs, as the file stores it.

    Args:
        file: `model_file.ModelFile`.
        x: as for `run`.

    Returns:
        List of arrays `(N, ...)`.
    """
    return litert.invoke(file, file.encode(x))


def random_inputs(file, count):
    """Some inputs for a file, as `run` takes them; always the same ones.

    Args:
        file: `model_file.ModelFile`.
        count: `int`.

    Returns:
        List of arrays `(count, ...)`: any value that a quantized input can
        have, normal ones for floats, zeros where the values may be indices.
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
    with leftovers.folder() as folder:
        folder = pathlib.Path(folder)
        inputs = [folder / f"input_{i}.npy" for i in range(len(columns))]
        outputs = [folder / f"output_{i}.npy" for i in range(len(file.outputs))]
        for path, column in zip(inputs, columns, strict=True):
            np.save(path, column)
        ask_micro(
            file,
            action="run",
            path=file.path,
            inputs=[str(path) for path in inputs],
            outputs=[str(path) for path in outputs],
        )
        return [np.load(path) for path in outputs]


def ask_micro(file, **request):
    """Lets `micro_runner.py` handle a request in a process of its own.

    Args:
        file: `model_file.ModelFile`, which an error names.
        **request: What its `handle` wants.

    Returns:
        What its `handle` returns.

    Raises:
        RuntimeError: If the interpreter refuses the file, or crashes on it.
    """
    packages.require("tflite_micro")
    with child.Child(micro_runner.__file__) as process:
        answer = process.ask(request)
    if answer.error:
        hint = (
            " It ends so on damaged files, and on int8 ones in which a layer "
            "was as good as constant on the calibration data."
        )
        reason = " ".join(answer.error.split())
        raise RuntimeError(
            "TFLite Micro must be able to run the file. Received: "
            f"path={file.path!r}, and its interpreter failed ({reason})."
            f"{_refused(file, answer.log)}"
            f"{hint if answer.crashed else ''} Its log ends: {answer.ending}"
        )
    return answer.result


def _refused(file, log):
    """The op that a kernel refused, by the name of what it gives."""
    kind, names = refusals.culprits(file.path, log)
    if kind is None or not names:
        return ""
    return f" It has no kernel for the {kind} that gives {names[0]!r}."


_RUNTIMES = {
    "tflite": litert.invoke,
    "litert": litert.invoke,
    "reference": _run_reference,
    "micro": _run_micro,
}
