"""The ops of a .tflite file, with all that TFLite Micro plans memory by."""

import dataclasses
import functools
import math

import numpy as np

from tfprune.core import packages
from tfprune.core.files import damage
from tfprune.export.file import packing

# The options that hold the subgraphs that an op runs.
_SUBGRAPHS = {
    "IF": ("thenSubgraphIndex", "elseSubgraphIndex"),
    "CALL_ONCE": ("initSubgraphIndex",),
    "WHILE": ("condSubgraphIndex", "bodySubgraphIndex"),
}
_BITS = {
    "INT4": 4,
    "INT8": 8,
    "UINT8": 8,
    "BOOL": 8,
    "INT16": 16,
    "UINT16": 16,
    "FLOAT16": 16,
    "INT64": 64,
    "UINT64": 64,
    "FLOAT64": 64,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the file.

    Attributes:
        name: `str`, empty if the file has none.
        shape: `tuple` of `int`.
        dtype: `str`, as the schema names it ("INT8").
        channels: `int`, the number of its scales; 0 if it is not quantized.
        constant: `bool`, whether the file holds its values.
        variable: `bool`, whether it keeps its values between inferences.
        planned: `int`, its offset in the arena by the file's own plan; -1 if
            there is none.
    """

    name: str
    shape: tuple
    dtype: str
    channels: int
    constant: bool
    variable: bool
    planned: int = -1

    @property
    def size(self):
        """`int`, the number of its values."""
        return math.prod(self.shape)

    @property
    def bytes(self):
        """`int`, the bytes of its values."""
        if self.dtype in ("RESOURCE", "STRING", "VARIANT"):
            return 0 if self.dtype != "RESOURCE" else 4
        return -(-self.size * _BITS.get(self.dtype, 32) // 8)


@dataclasses.dataclass(frozen=True, eq=False)
class Op:
    """An op of the file.

    Attributes:
        kind: `str`, as the schema names it, or the name of a custom op.
        inputs, outputs: lists of `Tensor`; an absent input is `None`.
        options: the schema's options, or `None`.
        subgraphs: list of `int`, the subgraphs that it runs.
    """

    kind: str
    inputs: list
    outputs: list
    options: object
    subgraphs: list

    def option(self, name, default=0):
        """An option by its name in the schema, or `default`."""
        return getattr(self.options, name, default)


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A subgraph of the file.

    Attributes:
        tensors, inputs, outputs: lists of `Tensor`.
        ops: list of `Op`.
    """

    tensors: list
    inputs: list
    outputs: list
    ops: list


@functools.cache
def _names():
    schema = packages.load("ai_edge_litert.schema_py_generated")
    return tuple(
        {v: k for k, v in vars(e).items() if not k.startswith("_")}
        for e in (schema.BuiltinOperator, schema.TensorType)
    )


def read(data):
    """The subgraphs of a file, the main one first.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        List of `Graph`.

    Raises:
        ValueError: If the file is damaged.
    """
    with damage.reading("a .tflite file"):
        model = packing.unpacked(data)
        plan = _plan(model)
        return [
            _graph(model, graph, () if i else plan)
            for i, graph in enumerate(model.subgraphs)
        ]


def _plan(model):
    """Offsets of the main subgraph's tensors by the file's own plan."""
    for entry in model.metadata or ():
        if entry.name.decode() == packing.PLAN:
            numbers = np.frombuffer(
                bytes(model.buffers[entry.buffer].data), "<i4"
            )
            return numbers[packing.PLAN_HEAD :].tolist()
    return ()


def _graph(model, graph, plan):
    kinds, types = _names()
    tensors = [
        _tensor(
            t,
            types[t.type],
            model.buffers[t.buffer],
            plan[i] if i < len(plan) else -1,
        )
        for i, t in enumerate(graph.tensors)
    ]

    def pick(indices):
        if indices is None:
            return []
        return [tensors[i] if i >= 0 else None for i in indices]

    def made(indices):
        found = pick(indices)
        if None in found:
            raise IndexError("an output that is no tensor")
        return found

    ops = []
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        if code.customCode:
            kind = code.customCode.decode()
        options = op.builtinOptions or op.builtinOptions2
        ops.append(
            Op(
                kind=kind,
                inputs=pick(op.inputs),
                outputs=made(op.outputs),
                options=options,
                subgraphs=[
                    getattr(options, name) for name in _SUBGRAPHS.get(kind, ())
                ],
            )
        )
    return Graph(tensors, made(graph.inputs), made(graph.outputs), ops)


def _tensor(tensor, dtype, buffer, planned):
    steps = tensor.quantization
    scales = getattr(steps, "scale", None)
    zeros = getattr(steps, "zeroPoint", None)
    quantized = scales is not None and zeros is not None and len(zeros)
    shape = () if tensor.shape is None else tuple(map(int, tensor.shape))
    data = buffer.data
    return Tensor(
        name=tensor.name.decode() if tensor.name else "",
        shape=shape,
        dtype=dtype,
        channels=len(scales) if quantized else 0,
        constant=data is not None and np.size(data) > 0,
        variable=bool(tensor.isVariable),
        planned=planned,
    )
