"""The structure of a .tflite file: its ops, inputs and outputs."""

import collections
import dataclasses
import struct

import numpy as np

from tfprune.core import kinds
from tfprune.core import packages
from tfprune.core import printed
from tfprune.core.files import damage
from tfprune.export.file import tensor_names


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or an output of a .tflite file.

    Attributes:
        name: `str`.
        shape: `tuple` of `int`, with the batch axis of size 1.
        dtype: `str`, its numpy name ("int8").
        scale: `float`, the real value of one step; `None` if the tensor is not
            quantized.
        zero_point: `int` that stands for the real value 0, or `None`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    def encode(self, values):
        """Converts real values to what the file stores.

        Rounds half away from zero, as the QUANTIZE kernel does.

        Args:
            values: array of numbers.

        Returns:
            An array of the same shape, of this tensor's dtype.

        Raises:
            ValueError: If values are not finite, or if the tensor holds plain
                integers (indices, say) and the values do not fit its dtype.
        """
        values = np.asarray(values)
        # numpy has no kind for bfloat16.
        if values.dtype.kind not in "biuf" and values.dtype.name != "bfloat16":
            raise ValueError(
                f"Numbers are required for {self.name!r}. Received: an array "
                f"of dtype {values.dtype}. Convert it first."
            )
        if not np.isfinite(values).all():
            raise ValueError(
                f"Finite values are required for {self.name!r}. Received: NaN"
                " or infinity. Clean the data first."
            )
        if self.scale is not None:
            steps = values.astype("float32") / np.float32(self.scale)
            steps = np.trunc(steps + np.copysign(np.float32(0.5), steps))
            steps = steps + np.float32(self.zero_point)
            limits = np.iinfo(self.dtype)
            return np.clip(steps, limits.min, limits.max).astype(self.dtype)
        encoded = values.astype(self.dtype)
        if encoded.dtype.kind in "iub" and (encoded != values).any():
            raise ValueError(
                f"Integers that fit {self.dtype} are required for "
                f"{self.name!r}. Received: dtype={values.dtype} with values "
                "that do not. Round or clip them first."
            )
        return encoded

    def decode(self, values):
        """Converts stored values to real ones, `float32` if quantized."""
        if self.scale is None:
            return values
        steps = values.astype("float32") - np.float32(self.zero_point)
        return steps * np.float32(self.scale)


@dataclasses.dataclass(frozen=True)
class ModelFile(printed.Printed):
    """A .tflite file.

    Attributes:
        path: `str`.
        file_bytes: `int`, its size.
        ops: `dict` from op ("CONV_2D", or the name of a custom op) to the
            number of times it occurs, in the order of first use.
        inputs: `tuple` of `Tensor`.
        outputs: `tuple` of `Tensor`.
    """

    path: str
    file_bytes: int
    ops: dict[str, int]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def encode(self, x):
        """Converts real inputs to what the file stores.

        Args:
            x: array `(N, ...)` of real values; for several inputs a tuple, list
                or dict of arrays, by the names in the file or in the model.

        Returns:
            List of arrays `(N, ...)`, one for each input, of its dtype.

        Raises:
            ValueError: If the arrays do not fit the inputs, or if the file's
                batch size is not 1.
        """
        if isinstance(x, dict):
            x = self._in_order(x)
        parts = list(x) if isinstance(x, tuple | list) else [x]
        arrays = [np.asarray(part) for part in parts]
        shapes = [array.shape for array in arrays]
        wanted = [tensor.shape[1:] for tensor in self.inputs]
        fits = (
            [shape[1:] for shape in shapes] == wanted
            and len({shape[:1] for shape in shapes}) == 1
            and shapes[0][0] > 0
            and all(tensor.shape[:1] == (1,) for tensor in self.inputs)
        )
        if not fits:
            names = [(t.name, ("N", *t.shape[1:])) for t in self.inputs]
            raise ValueError(
                f"Inputs {names} are required, with the same N of at least 1. "
                f"Received: x of shape {shapes}."
            )
        return [t.encode(a) for t, a in zip(self.inputs, arrays, strict=True)]

    def _in_order(self, x):
        """The arrays of a `dict`, whose names need not be plain ones."""
        names = [tensor.name for tensor in self.inputs]
        found = {tensor_names.plain(str(key)): x[key] for key in x} | x
        if not set(names) <= set(found):
            raise ValueError(
                f"Arrays by the names of the inputs, {names}, are required. "
                f"Received: a dict of {list(x)}. Pass a list in this order."
            )
        return [found[name] for name in names]


def read(path):
    """Reads the structure of a .tflite file without starting an interpreter.

    Args:
        path: `str` or path-like.

    Returns:
        A `ModelFile`.

    Raises:
        ImportError: If the extra `export` is missing.
        OSError: If the file cannot be read.
        TypeError: If `path` is not the path of a file.
        ValueError: If the file is not a TFLite model, or is damaged.
    """
    kinds.check_path(
        "path", path, "Write one with tfprune.export_tflite(model, ...)."
    )
    with open(path, "rb") as file:
        data = file.read()
    schema = packages.load("ai_edge_litert.schema_py_generated")
    if data[4:8] != b"TFL3":
        raise _not_a_model(path, data)
    try:
        model = schema.Model.GetRootAs(data, 0)
        graph = model.Subgraphs(0)
        return ModelFile(
            path=str(path),
            file_bytes=len(data),
            ops=_ops(schema, model),
            inputs=_tensors(schema, graph, graph.InputsAsNumpy()),
            outputs=_tensors(schema, graph, graph.OutputsAsNumpy()),
        )
    # In a damaged file, offsets point outside the file.
    except _DAMAGES as error:
        raise damage.error(path, error) from error


_DAMAGES = (
    struct.error,
    AttributeError,
    LookupError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)


def output_names(path):
    """The ops of the main graph and the names of their outputs.

    Args:
        path: `str` or path-like, a .tflite file.

    Returns:
        List of `(kind, name)`: the op ("CONV_2D") and the name of its first
        output, empty if the file has none.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is damaged.
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        return _output_names(data)
    except _DAMAGES as error:
        raise damage.error(path, error) from error


def _output_names(data):
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model = schema.Model.GetRootAs(data, 0)
    graph, kinds = model.Subgraphs(0), _names(schema.BuiltinOperator)
    found = []
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        code = model.OperatorCodes(op.OpcodeIndex())
        name = None
        if op.OutputsLength():
            name = graph.Tensors(int(op.Outputs(0))).Name()
        kind = kinds[max(code.DeprecatedBuiltinCode(), code.BuiltinCode())]
        found.append((kind, name.decode() if name else ""))
    return found


def _not_a_model(path, data):
    return ValueError(
        "A TFLite model is required. Received: "
        f"path={str(path)!r}, {len(data):,} bytes of another kind."
        " Write one with tfprune.export_tflite."
    )


def _names(enumeration):
    return {v: k for k, v in vars(enumeration).items() if not k.startswith("_")}


def _ops(schema, model):
    names = _names(schema.BuiltinOperator)
    counts = collections.Counter()
    for g in range(model.SubgraphsLength()):
        graph = model.Subgraphs(g)
        for i in range(graph.OperatorsLength()):
            code = model.OperatorCodes(graph.Operators(i).OpcodeIndex())
            # Old files have the first field alone, which is a byte.
            name = names[max(code.DeprecatedBuiltinCode(), code.BuiltinCode())]
            custom = code.CustomCode()
            counts[custom.decode() if custom else name] += 1
    return dict(counts)


def _tensors(schema, graph, indices):
    types = _names(schema.TensorType)
    return tuple(_tensor(graph.Tensors(int(i)), types) for i in indices)


def _tensor(tensor, types):
    steps = tensor.Quantization()
    quantized = steps is not None and steps.ScaleLength() == 1
    return Tensor(
        name=tensor.Name().decode(),
        shape=tuple(int(n) for n in tensor.ShapeAsNumpy()),
        dtype=types[tensor.Type()].lower(),
        scale=float(steps.Scale(0)) if quantized else None,
        zero_point=int(steps.ZeroPoint(0)) if quantized else None,
    )
