"""Checks that a file runs on its runtime and computes what the model does."""

import importlib.util
import re

import numpy as np
from absl import logging

from tfprune.core.files import array_files
from tfprune.core.processes import child
from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune.export.run import litert_runner
from tfprune.export.run import micro_runner
from tfprune.export.run import refusals
from tfprune.graph import values

_LOOKED_AT = 8
# The largest error relative to the standard deviation of an output. Errors of
# up to two quantization steps are rounding, even if an output hardly varies.
_TOO_FAR = 0.3
_STEPS = 2
# A number that is so many times all smaller ones masks, such as -1e9.
_MASKED = 1e4
# Masks differ from each other by no more than this share.
_ALIKE = 1e-2
RUNTIMES = {"tflite": "TFLite", "micro": "TFLite Micro"}


def check(model, signature, samples, path, runtime):
    """Runs an exported file and compares its outputs with the model's.

    Logs a warning for outputs that quantization has made useless. The
    converter gives the inputs and outputs of some ops one common scale, which
    clips if they need different ones, and does not report it.

    Args:
        model: the `keras.Model` that was exported.
        signature: its `signature.Signature`.
        samples: list of arrays `(N, ...)`, the calibration samples. If there
            are none, the file runs once on random inputs and nothing is
            compared.
        path: `pathlib.Path` of the file; temporary files are written beside it.
        runtime: A key of `RUNTIMES`, the runtime that the file is meant for.
            Without the package tflite-micro, "micro" falls back to TFLite with
            a warning.

    Raises:
        ValueError: If the runtime cannot run the file.
    """
    file = model_file.read(path)
    few = [array[:_LOOKED_AT] for array in samples]
    if not few:
        few = interpreter.random_inputs(file, 1)
    if runtime == "micro" and not _has_micro():
        logging.warning(
            "TFLite Micro is not installed, so the file was checked on TFLite. "
            'Run: pip install "tfprune[export]" (Linux only).'
        )
        runtime = "tflite"
    stored = _run(model, file, few, runtime)
    if samples:
        _compare(model, signature, few, file, stored)


def _run(model, file, few, runtime):
    """The outputs of a runtime for some inputs, as the file stores them."""
    path = file.path
    inputs = [f"{path}.in_{i}.npy" for i in range(len(few))]
    outputs = [f"{path}.out_{i}.npy" for i in range(len(file.outputs))]
    for place, column in zip(inputs, file.encode(few), strict=True):
        array_files.save(place, column)
    if runtime == "micro":
        interpreter.warn_of_loops(file)
    script = micro_runner if runtime == "micro" else litert_runner
    with child.Child(script.__file__) as process:
        answer = process.ask(
            {
                "action": "run",
                "path": path,
                "inputs": inputs,
                "outputs": outputs,
                "seconds": micro_runner.seconds(file.ops),
            }
        )
    if answer.error:
        raise _refusal(model, file, answer, runtime)
    return [np.load(place) for place in outputs]


def _refusal(model, file, answer, runtime):
    kind, names = refusals.culprits(file.path, f"{answer.error}\n{answer.log}")
    layers = dict.fromkeys(layer_of(model, name) or name for name in names)
    where = f", {kind} at {', '.join(map(repr, layers))}" if layers else ""
    if kind and not layers:
        where = f", {kind}"
    other = (
        "Replace the layer, or pass runtime='tflite' for a file that only "
        "phones and computers run."
        if runtime == "micro"
        else "Replace the layer."
    )
    if refusals.is_endless(answer.error):
        other = f"{refusals.LOOPS} {other}"
    said = answer.error if answer.crashed or not kind else ""
    return ValueError(
        f"{RUNTIMES[runtime]} must be able to run the file. Received: a model "
        f"with an op that it does not run{where}. {other} It reports: "
        f"{said or answer.error.splitlines()[0][:300]}. Its log ends: "
        f"{answer.ending}"
    )


def layer_of(model, name):
    """The layer that a tensor of a file comes from.

    Args:
        model: a `keras.Model`.
        name: `str`, the name of the tensor, a path of name scopes, whose
            numbers TensorFlow may have changed.

    Returns:
        The name of the innermost layer among the scopes, or `None`.
    """
    known = {layer.name for layer in values.layers(model)} - {model.name}
    for scope in reversed(re.split("[/;]", name)):
        for end in (r"_\d+$", "$", r"\d+$"):
            candidate = re.sub(end, "", scope)
            if candidate in known:
                return candidate
    return None


def _compare(model, signature, few, file, stored):
    wanted = zip(*predicted(model, signature, few), strict=True)
    for tensor, exact, found in zip(file.outputs, wanted, stored, strict=True):
        # In one row, as the size of an output may depend on the sample.
        exact = np.concatenate([np.ravel(y).astype("float64") for y in exact])
        with np.errstate(invalid="ignore"):  # Infinity less infinity.
            off = tensor.decode(found).reshape(exact.shape) - exact
        usual = _usual(exact)
        parts, finite = [usual], np.isfinite(exact)
        huge = np.abs(exact[finite & ~usual])
        # Masks are alike; what differs counts.
        if huge.size and huge.std() > _ALIKE * huge.mean():
            parts.append(finite)
        for chosen in parts:
            error = np.sqrt(np.mean(np.square(off[chosen])))
            spread = exact[chosen].std()
            rounding = _STEPS * (tensor.scale or 0) if chosen.all() else 0.0
            if error > max(_TOO_FAR * spread, rounding):
                _warn(tensor.name, error, spread)
                break


def _warn(name, error, spread):
    logging.warning(
        "Quantized outputs %r have an error (RMS) of %.2g on the "
        "calibration samples, where their standard deviation is %.2g. "
        "tfprune.quantization_error names the tensors where it begins.",
        name,
        error,
        spread,
    )


def _usual(numbers):
    """Which numbers do not mask."""
    sizes = np.abs(numbers)
    order = np.sort(sizes, axis=None)
    gaps = np.flatnonzero(order[1:] > _MASKED * np.maximum(order[:-1], 1.0))
    return sizes <= (order[gaps[0]] if len(gaps) else np.inf)


def predicted(model, signature, columns):
    """The model's outputs for each sample.

    All samples are one batch if the first gives the same outputs by itself.

    Args:
        model: a `keras.Model`, which is not changed.
        signature: its `signature.Signature`.
        columns: list of arrays `(N, ...)`, one for each input.

    Returns:
        List of lists of arrays.
    """

    def call(part):
        return [values.numpy(y) for y in signature.call(model, part)]

    def alone(i):
        return call([column[i : i + 1] for column in columns])

    count, first = len(columns[0]), alone(0)
    shapes = [x.shape for x in getattr(model, "inputs", None) or ()]
    if shapes and not signature.states and all(s[0] is None for s in shapes):
        together = _together(call, columns)
        if together is not None and all(
            y.shape == (count, *x.shape[1:])
            and np.allclose(y[:1], x, rtol=1e-3, atol=1e-5)
            for x, y in zip(first, together, strict=True)
        ):
            return [[y[i : i + 1] for y in together] for i in range(count)]
    return [first, *(alone(i) for i in range(1, count))]


def _together(call, columns):
    """The outputs for a batch; `None` if the model takes one sample only."""
    try:
        return call(columns)
    except Exception:
        return None


def _has_micro():
    return importlib.util.find_spec("tflite_micro") is not None
