"""The ops of a .tflite file that have kernels, matched to a model's kernels."""

import dataclasses

import keras
import numpy as np

from tfprune.core import packages
from tfprune.core.files import damage
from tfprune.export.file import packing

# The ops whose second input is a kernel.
OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


@dataclasses.dataclass(frozen=True)
class WeightOp:
    """An op with a kernel.

    Attributes:
        op: `str`, one of `OPS`.
        output: `str`, the name of its output tensor.
        dtype: `str`, the type of the kernel ("int4").
        inputs_dtype: `str`, the type of its input.
        rows: float array of shape `(channels, weights per channel)`; `None` if
            the kernel is not stored in float.
    """

    op: str
    output: str
    dtype: str
    inputs_dtype: str
    rows: np.ndarray | None


def read(data):
    """The ops with kernels in the main graph of a file, in execution order.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        List of `WeightOp`.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model = schema.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    types, names = _names(schema.TensorType), _names(schema.BuiltinOperator)
    found = []
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = model.OperatorCodes(operator.OpcodeIndex())
        op = names[max(code.DeprecatedBuiltinCode(), code.BuiltinCode())]
        if op not in OPS:
            continue
        inputs = [graph.Tensors(int(j)) for j in operator.InputsAsNumpy()[:2]]
        output = graph.Tensors(int(operator.OutputsAsNumpy()[0]))
        dtypes = [types[tensor.Type()].lower() for tensor in inputs]
        buffer = model.Buffers(inputs[1].Buffer())
        rows = None
        if dtypes[1] == "float32" and packing.size(buffer):
            values = packing.content(buffer, data).view("<f4")
            values = values.reshape(inputs[1].ShapeAsNumpy())
            rows = _by_channel(values, op == "DEPTHWISE_CONV_2D")
        found.append(WeightOp(op, _name(output), dtypes[1], dtypes[0], rows))
    return found


@damage.reading("a .tflite file")
def channelwise_dense(data):
    """The dense ops whose weights have one scale per output channel.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        `dict` from the name of the output tensor to the dtype of the input
        ("int16").

    Raises:
        ValueError: If the file is damaged.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model = schema.Model.GetRootAs(data, 0)
    types = _names(schema.TensorType)
    found = {}
    for g in range(model.SubgraphsLength()):
        graph = model.Subgraphs(g)
        for i in range(graph.OperatorsLength()):
            operator = graph.Operators(i)
            code = model.OperatorCodes(operator.OpcodeIndex())
            kind = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
            if kind != schema.BuiltinOperator.FULLY_CONNECTED:
                continue
            x, weights = map(graph.Tensors, operator.InputsAsNumpy()[:2])
            steps = weights.Quantization()
            if steps is not None and steps.ScaleLength() > 1:
                output = graph.Tensors(int(operator.OutputsAsNumpy()[0]))
                name = output.Name()
                name = name.decode() if name else f"op {i}"
                found[name] = types[x.Type()].lower()
    return found


@damage.reading("a .tflite file")
def computed_tensors(data):
    """The tensors of the main graph that hold values after an inference.

    Those are its inputs and what its ops compute: not constants, nor what an
    op only notes down (the scales within an LSTM), nor what a loop leaves
    behind that nothing reads.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        `dict` from the name of a tensor to its type ("float32").

    Raises:
        ValueError: If the file is damaged.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model = schema.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    given, kept = _indices(graph.Inputs, graph.InputsLength()), set()
    read = _indices(graph.Outputs, graph.OutputsLength())
    for op in map(graph.Operators, range(graph.OperatorsLength())):
        code = model.OperatorCodes(op.OpcodeIndex())
        kind = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
        read |= _indices(op.Inputs, op.InputsLength())
        written = _indices(op.Outputs, op.OutputsLength())
        if kind in (schema.BuiltinOperator.WHILE, schema.BuiltinOperator.IF):
            kept |= written
        else:
            given |= written
    types = _names(schema.TensorType)
    tensors = (graph.Tensors(i) for i in sorted(given | kept & read))
    return {_name(t): types[t.Type()].lower() for t in tensors}


def _indices(get, count):
    return {get(i) for i in range(count)}


def _name(tensor):
    """The name of a tensor, empty if the file has none."""
    return (tensor.Name() or b"").decode()


def match(kernels, ops):
    """Finds the op of each kernel by comparing the weights.

    The converter may have folded a normalization, which scales each output
    channel, so only the directions of channels are compared.

    Args:
        kernels: `dict` from any key to `(layer, name, array)`: the layer,
            the name and the values of the weight.
        ops: list of `WeightOp` from a float file.

    Returns:
        `dict` from key to the index of the op. Kernels whose layers became
        other ops are missing.
    """
    found, free = {}, dict(enumerate(ops))
    for key, (layer, name, values) in kernels.items():
        depthwise = isinstance(layer, _DEPTHWISE) or "depthwise" in name
        rows = _keras_rows(values, depthwise)
        for i, op in free.items():
            if op.rows is not None and _parallel(rows, op.rows):
                found[key] = i
                del free[i]
                break
    return found


def _by_channel(values, depthwise):
    if depthwise:
        return values.reshape(-1, values.shape[-1]).T
    return values.reshape(values.shape[0], -1)


def _keras_rows(values, depthwise):
    if depthwise:
        channels = values.shape[-2] * values.shape[-1]
        return values.reshape(-1, channels).T
    return values.reshape(-1, values.shape[-1]).T


def _parallel(first, second):
    if first.shape != second.shape:
        return False
    first, second = _unit(first), _unit(second)
    zero = ~first.any(axis=1)
    if (zero & second.any(axis=1)).any():
        return False
    cosines = np.abs(np.sum(first * second, axis=1))
    return bool(np.all(zero | (cosines > 1 - 1e-6)))


def _unit(rows):
    rows = rows.astype("float64")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


def _names(enumeration):
    return {v: k for k, v in vars(enumeration).items() if not k.startswith("_")}
