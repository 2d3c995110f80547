"""The TFLite interpreter: opens, runs and times files."""

import pathlib
import time

import numpy as np
from absl import logging

from tfprune.core import packages
from tfprune.export.file import contents
from tfprune.export.file import model_file
from tfprune.export.file import weight_ops
from tfprune.export.run import litert_runner

_RESOLVERS = {
    "xnnpack": "AUTO",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}
_NAMES = {"xnnpack": "XNNPACK", "reference": "TFLite's reference kernels"}
# Of integers, the reference kernels of these read unsigned bytes.
_MISREAD = {"SUM"}


def open_file(path, choice="xnnpack", preserve=False):
    """Starts an interpreter on a file.

    Args:
        path: `str` or path-like.
        choice: the kernels: "xnnpack", the fastest ones, "builtin" or
            "reference".
        preserve: `bool`, whether all tensors can be read after a run.

    Returns:
        `(interpreter, kernels)`: the interpreter with its tensors allocated,
        and the kernels in use, which are "builtin" if the others refuse the
        file or compute it wrongly; a warning says so.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        RuntimeError: If TFLite cannot run the file.
    """
    litert = packages.load("ai_edge_litert.interpreter")
    resolver = getattr(litert.OpResolverType, _RESOLVERS[choice])
    if choice == "reference" and (kinds := _misread(path)):
        reason = f"their {', '.join(kinds)} of integers is wrong"
        return _open_builtin(path, choice, reason, preserve)
    try:
        interpreter = litert.Interpreter(
            str(path),
            num_threads=1,
            experimental_op_resolver_type=resolver,
            experimental_preserve_all_tensors=preserve,
        )
        interpreter.allocate_tensors()
    # ValueError is raised for an unknown op.
    except (ValueError, RuntimeError) as error:
        if choice == "builtin":
            raise RuntimeError(
                "TFLite must be able to run the file. Received: "
                f"path={str(path)!r}. TFLite reports: "
                f"{' '.join(str(error).split())}"
            ) from error
        return _open_builtin(path, choice, error, preserve)
    return interpreter, choice


def _open_builtin(path, choice, reason, preserve):
    """Opens a file with the built-in kernels, as others do not do."""
    built_in = open_file(path, "builtin", preserve)
    logging.warning(
        "%s cannot run %s (%s); TFLite runs it with its built-in kernels.",
        _NAMES[choice],
        path,
        " ".join(str(reason).split()),
    )
    return built_in


def _misread(path):
    """The kinds of ops of a file that the reference kernels compute wrongly."""
    ops = contents.ops(path)
    found = {o.name for o in ops if o.dtype in ("int8", "int16")}
    return sorted(found & _MISREAD)


def invoke(file, columns, choice="xnnpack"):
    """Runs a file, sample by sample.

    Args:
        file: `model_file.ModelFile`.
        columns: list of arrays `(N, ...)`, as `file.encode` returns them.
        choice: as for `open_file`.

    Returns:
        List of arrays `(N, ...)`, as the file stores its outputs.
    """
    interpreter, _ = open_file(file.path, choice)
    inputs = [d["index"] for d in interpreter.get_input_details()]
    outputs = [d["index"] for d in interpreter.get_output_details()]
    rows = []
    for i in range(len(columns[0])):
        interpreter.reset_all_variables()
        for index, column in zip(inputs, columns, strict=True):
            interpreter.set_tensor(index, column[i : i + 1])
        interpreter.invoke()
        rows.append([interpreter.get_tensor(index) for index in outputs])
    return [litert_runner.joined(column) for column in zip(*rows, strict=True)]


def kernels(path):
    """The kernels that TFLite runs a file with.

    XNNPACK is faster but refuses some files: sparse ones, and int8 files of
    other tools in which a layer was dead on the calibration data.

    Args:
        path: `str` or path-like.

    Returns:
        "xnnpack" or "builtin".
    """
    return open_file(path)[1]


def times(paths, runs=50):
    """Times files on TFLite, with one thread and zeros as inputs.

    The files take turns, so that a slowdown of the machine affects all.

    Args:
        paths: list of `str` or path-like.
        runs: `int`, inferences per file.

    Returns:
        Array `(runs, len(paths))` of seconds.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        RuntimeError: If TFLite cannot run a file.
    """
    calls = [_prepared(path) for path in paths]
    found = np.zeros((runs, len(calls)))
    for row in found:
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            row[i] = time.perf_counter() - start
    return found


def intermediate(path, x, kernels="reference"):
    """All tensors that a .tflite file computes, sample by sample.

    Args:
        path: `str` or path-like.
        x: as for `interpreter.run`.
        kernels: as for `open_file`; "builtin" is faster.

    Yields:
        For each sample, a `dict` from the name of a tensor to
        `(values, low, high)`: its real values, and those between which its
        integers round, infinite for floats; what lies beyond is clipped.
    """
    file = model_file.read(path)
    columns = file.encode(x)
    interpreter, _ = open_file(path, kernels, preserve=True)
    inputs = [d["index"] for d in interpreter.get_input_details()]
    names = weight_ops.computed_tensors(pathlib.Path(path).read_bytes())
    details = [
        d
        for d in interpreter.get_tensor_details()
        if d["name"] and d["name"] in names
    ]
    for row in zip(*columns, strict=True):
        interpreter.reset_all_variables()
        for index, values in zip(inputs, row, strict=True):
            interpreter.set_tensor(index, values[None])
        interpreter.invoke()
        yield {
            d["name"]: _real(d, interpreter.get_tensor(d["index"]))
            for d in details
        }


def _prepared(path):
    """A function that runs a file once, with zeros as inputs."""
    interpreter, _ = open_file(path)
    for detail in interpreter.get_input_details():
        zeros = np.zeros(detail["shape"], detail["dtype"])
        interpreter.set_tensor(detail["index"], zeros)
    return interpreter.invoke


def _real(detail, values):
    """The real values of a tensor, and the ends of what it can hold."""
    scale, zero_point = detail["quantization"]
    if not scale:
        return values.astype("float32"), -np.inf, np.inf
    limits = np.iinfo(values.dtype)
    return (
        (values.astype("float32") - zero_point) * scale,
        (limits.min - 0.5 - zero_point) * scale,
        (limits.max + 0.5 - zero_point) * scale,
    )
