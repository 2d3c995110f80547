"""The interpreter of TFLite: opens files, runs them, times them."""

import pathlib
import time

import numpy as np
from absl import logging

from tfprune.core import packages
from tfprune.export.file import model_file
from tfprune.export.file import weight_ops

_RESOLVERS = {
    "xnnpack": "AUTO",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}


def open_file(path, choice="xnnpack", preserve=False):
    """Starts an interpreter on a file.

    Args:
        path: `str` or path-like.
        choice: kernels, "xnnpack", the fastest ones, "builtin" or
            "reference", the plain ones.
        preserve: `bool`, whether all tensors can be read when it has run.

    Returns:
        The interpreter, its tensors allocated, and the kernels that it took:
        "builtin" where XNNPACK refuses the file.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        RuntimeError: If TFLite cannot run the file.
    """
    litert = packages.load("ai_edge_litert.interpreter")
    resolver = getattr(litert.OpResolverType, _RESOLVERS[choice])
    try:
        interpreter = litert.Interpreter(
            str(path),
            num_threads=1,
            experimental_op_resolver_type=resolver,
            experimental_preserve_all_tensors=preserve,
        )
        interpreter.allocate_tensors()
    # The first of them where it does not know an op.
    except (ValueError, RuntimeError) as error:
        if choice != "xnnpack":
            raise RuntimeError(
                "TFLite must be able to run the file. Received: "
                f"path={str(path)!r}. It says: {error}"
            ) from error
        logging.warning(
            "XNNPACK refuses %s (%s); TFLite runs it with its built-in "
            "kernels, which are slower.",
            path,
            error,
        )
        return open_file(path, "builtin")
    return interpreter, choice


def invoke(file, columns, choice="xnnpack"):
    """What a file gives for inputs, sample by sample.

    Args:
        file: `model_file.ModelFile`.
        columns: list of arrays `(N, ...)`, as `file.encode` returns.
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
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def kernels(path):
    """Which kernels TFLite runs a file with.

    XNNPACK, which is faster, refuses some files: sparse ones, and int8 ones of
    other tools in which a layer was dead on the calibration data.

    Args:
        path: `str` or path-like.

    Returns:
        "xnnpack" or "builtin".
    """
    return open_file(path)[1]


def times(paths, runs=50):
    """How long files take on TFLite, on one thread and on zeros.

    Args:
        paths: list of `str` or path-like, files that take turns: a machine
            that slows down slows down all of them.
        runs: `int`, inferences of each.

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
        kernels: "reference" or "builtin", which are faster.

    Yields:
        For each sample a `dict` from the name of a tensor to its real values
        and the share of them that stand at an end of their integer range, 0
        where they are floats.
    """
    file = model_file.read(path)
    columns = file.encode(x)
    interpreter, _ = open_file(path, kernels, preserve=True)
    inputs = [d["index"] for d in interpreter.get_input_details()]
    constants = weight_ops.constant_tensors(pathlib.Path(path).read_bytes())
    details = [
        d
        for d in interpreter.get_tensor_details()
        if d["name"] and d["name"] not in constants
    ]
    for row in zip(*columns, strict=True):
        for index, values in zip(inputs, row, strict=True):
            interpreter.set_tensor(index, values[None])
        interpreter.invoke()
        yield {
            d["name"]: _real(d, interpreter.get_tensor(d["index"]))
            for d in details
        }


def _prepared(path):
    """A function that runs a file once, on zeros."""
    interpreter, _ = open_file(path)
    for detail in interpreter.get_input_details():
        zeros = np.zeros(detail["shape"], detail["dtype"])
        interpreter.set_tensor(detail["index"], zeros)
    return interpreter.invoke


def _real(detail, values):
    """Real values of a tensor, and the share of them that is clipped."""
    scale, zero_point = detail["quantization"]
    if not scale:
        return values.astype("float32"), 0.0
    limits = np.iinfo(values.dtype)
    # Where the range begins at 0, its lower end clips nothing.
    low = (values == limits.min) & (zero_point != limits.min)
    clipped = np.mean(low | (values == limits.max))
    return (values.astype("float32") - zero_point) * scale, float(clipped)
