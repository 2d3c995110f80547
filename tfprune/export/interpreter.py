"""Runs .tflite files, on TFLite or on TFLite Micro, sample by sample."""

import pathlib
import tempfile
import time

import numpy as np
from absl import logging

from tfprune.export import child
from tfprune.export import micro_runner
from tfprune.export import model_file
from tfprune.export import packages
from tfprune.export import weight_ops


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
    columns = _encoded(file, x)
    results = [
        tensor.decode(values)
        for tensor, values in zip(
            file.outputs, _RUNTIMES[runtime](file, columns), strict=True
        )
    ]
    return results[0] if len(results) == 1 else tuple(results)


def kernels(path):
    """Which kernels TFLite runs a file with.

    XNNPACK, which is faster, refuses some files: int8 ones in which a layer
    was dead on the calibration data, and sparse ones.

    Args:
        path: `str` or path-like.

    Returns:
        "xnnpack" or "builtin".
    """
    return _open(path)[1]


def prepared(path):
    """A function that runs a .tflite file once, on zeros, to be timed.

    Args:
        path: `str` or path-like.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        RuntimeError: If TFLite cannot run the file.
    """
    interpreter, _ = _open(path)
    for detail in interpreter.get_input_details():
        zeros = np.zeros(detail["shape"], detail["dtype"])
        interpreter.set_tensor(detail["index"], zeros)
    return interpreter.invoke


def seconds(paths, runs=50):
    """How long files take on TFLite, on one thread and on zeros.

    Args:
        paths: list of `str` or path-like.
        runs: `int`, inferences of each, which take turns.

    Returns:
        List of float, the least seconds of an inference.

    Raises:
        ImportError, RuntimeError: as `prepared`.
    """
    calls = [prepared(path) for path in paths]
    least = [float("inf")] * len(calls)
    for _ in range(runs):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            least[i] = min(least[i], time.perf_counter() - start)
    return least


def intermediate(path, x, kernels="reference"):
    """All tensors that a .tflite file computes, sample by sample.

    Args:
        path, x: as for `run`.
        kernels: "reference" or "builtin", which are faster.

    Yields:
        For each sample a `dict` from the name of a tensor to its real values
        and the share of them that stand at an end of their integer range, 0
        where they are floats.
    """
    file = model_file.read(path)
    columns = _encoded(file, x)
    interpreter, _ = _open(path, kernels, preserve=True)
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


def stored(file, x):
    """Inputs, and what TFLite Micro gives for them, as the file stores them.

    Args:
        file: `model_file.ModelFile`.
        x: as for `run`.

    Returns:
        List of arrays `(N, ...)`, of the inputs and then of the outputs.
    """
    columns = _encoded(file, x)
    return [*columns, *_run_micro(file, columns)]


def outputs(file, x):
    """What TFLite gives for inputs, as the file stores it.

    Args:
        file: `model_file.ModelFile`.
        x: as for `run`.

    Returns:
        List of arrays `(N, ...)`.
    """
    return _run_tflite(file, _encoded(file, x))


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


def _encoded(file, x):
    """One array for each input, in the file's dtypes."""
    if isinstance(x, dict):
        x = [x[t.name] for t in file.inputs if t.name in x]
    parts = list(x) if isinstance(x, tuple | list) else [x]
    arrays = [np.asarray(part) for part in parts]
    shapes = [array.shape for array in arrays]
    wanted = [tensor.shape[1:] for tensor in file.inputs]
    fits = (
        [shape[1:] for shape in shapes] == wanted
        and len({shape[:1] for shape in shapes}) == 1
        and shapes[0][0] > 0
        and all(tensor.shape[:1] == (1,) for tensor in file.inputs)
    )
    if not fits:
        names = [(t.name, ("N", *t.shape[1:])) for t in file.inputs]
        raise ValueError(
            f"Inputs {names} are required, with the same N of at least 1. "
            f"Received: x of shape {shapes}."
        )
    return [t.encode(a) for t, a in zip(file.inputs, arrays, strict=True)]


def _open(path, choice="xnnpack", preserve=False):
    """A TFLite interpreter, allocated, and the kernels that it took.

    With `preserve` all tensors can be read when it has run.
    """
    litert = packages.load("ai_edge_litert.interpreter")
    resolver = getattr(litert.OpResolverType, _RESOLVERS[choice])
    interpreter = litert.Interpreter(
        str(path),
        num_threads=1,
        experimental_op_resolver_type=resolver,
        experimental_preserve_all_tensors=preserve,
    )
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
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
        return _open(path, "builtin")
    return interpreter, choice


_RESOLVERS = {
    "xnnpack": "AUTO",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}


def _run_tflite(file, columns, choice="xnnpack"):
    interpreter, _ = _open(file.path, choice)
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


def _run_reference(file, columns):
    return _run_tflite(file, columns, "reference")


def _run_micro(file, columns):
    with tempfile.TemporaryDirectory() as folder:
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
        raise RuntimeError(
            "TFLite Micro must be able to run the file. Received: "
            f"path={file.path!r}, and its interpreter failed ({answer.error})."
            f"{hint if answer.crashed else ''} The end of its log:\n"
            f"{answer.tail}"
        )
    return answer.result


_RUNTIMES = {
    "tflite": _run_tflite,
    "litert": _run_tflite,
    "reference": _run_reference,
    "micro": _run_micro,
}
