"""The ops of a .tflite file and what they cost: weights and multiply-adds."""

import dataclasses
import itertools
import math
import pathlib

from tfprune.core import packages
from tfprune.core.files import damage
from tfprune.export.file import model_file
from tfprune.export.file import packing

# Multiply-adds per element of the output, from the shapes of the inputs and the
# output.
_PER_OUTPUT = {
    "CONV_2D": lambda x, kernel, *_: math.prod(kernel[1:]),
    "CONV_3D": lambda x, kernel, *_: math.prod(kernel[:-1]),
    "DEPTHWISE_CONV_2D": lambda x, kernel, *_: math.prod(kernel[1:3]),
    "FULLY_CONNECTED": lambda x, kernel, *_: kernel[-1],
    # `a` may be transposed: its inner size is what the output does not have.
    "BATCH_MATMUL": lambda a, b, *rest: math.prod(a[-2:]) // rest[-1][-2],
}


def _spread(_, kernel, x, *rest):
    """Each input is spread by the kernel; the first tensor is a shape."""
    return math.prod(x) * math.prod(kernel[:-1])


def _lstm(x, *weights):
    """In each step, the kernels of the gates: all matrices before a vector."""
    kernels = itertools.takewhile(lambda shape: len(shape) == 2, weights)
    return math.prod(x[:2]) * sum(map(math.prod, kernels))


# Multiply-adds of an op, from the shapes of the inputs and the output.
_OF_OP = {
    "TRANSPOSE_CONV": _spread,
    "CONV_3D_TRANSPOSE": _spread,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}


@dataclasses.dataclass(frozen=True)
class Op:
    """One op of a file.

    Attributes:
        name: `str`, such as "CONV_2D", or the name of a custom op.
        output: `str`, the name of its first output; empty where the file has
            no name or the op no output.
        shape: tuple, the shape of that tensor, with the batch axis.
        dtype: `str`, the type of that tensor ("int8"), or an empty one.
        weight_bytes: `int`, bytes of the constants that it reads; a constant
            that several ops share counts at the first.
        macs: `int`, multiply-adds each time it runs; `None` if they are not
            known for this op.
        inner: `bool`, whether it stands in a further graph, such as the body
            of a WHILE, which may run any number of times.
    """

    name: str
    output: str
    shape: tuple[int, ...]
    dtype: str
    weight_bytes: int
    macs: int | None
    inner: bool = False


def ops(path):
    """Reads the ops of a .tflite file without starting an interpreter.

    Args:
        path: `str` or path-like.

    Returns:
        List of `Op`, in the order in which they run; then those of further
        graphs.

    Raises:
        ImportError: If the extra `export` is missing.
        OSError: If there is no such file.
        ValueError: If the file is not a TFLite model, or is damaged.

    Example:

    >>> sum(op.macs or 0 for op in ops("model.tflite"))
    """
    model_file.read(path)
    with damage.reading(path):
        return _ops(pathlib.Path(path).read_bytes())


def _ops(data):
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model = schema.Model.GetRootAs(data, 0)
    types = _names(schema.TensorType)
    counted, found = set(), []
    for number, graph, op in _placed(model):
        read = [int(n) for n in op.InputsAsNumpy()] if op.InputsLength() else []
        tensors = [graph.Tensors(n) for n in read if n >= 0]
        # Some ops, such as ASSIGN_VARIABLE, have no output.
        written = graph.Tensors(op.Outputs(0)) if op.OutputsLength() else None
        buffers = {t.Buffer() for t in tensors} - counted
        counted |= buffers
        name = _op_name(schema, model.OperatorCodes(op.OpcodeIndex()))
        ends = tensors if written is None else [*tensors, written]
        shapes = [_shape(tensor) for tensor in ends]
        label = written.Name() if written else None
        found.append(
            Op(
                name=name,
                output=label.decode() if label else "",
                shape=shapes[-1] if written else (),
                dtype=types[written.Type()].lower() if written else "",
                weight_bytes=sum(
                    packing.size(model.Buffers(n)) for n in buffers
                ),
                macs=_macs(name, shapes),
                inner=number > 0,
            )
        )
    return found


def _placed(model):
    """Yields each op as `(number of its graph, graph, op)`."""
    for g in range(model.SubgraphsLength()):
        graph = model.Subgraphs(g)
        for i in range(graph.OperatorsLength()):
            yield g, graph, graph.Operators(i)


def _macs(name, shapes):
    if len(shapes) < 3:
        return None
    if name in _OF_OP:
        return _OF_OP[name](*shapes)
    if name not in _PER_OUTPUT:
        return None
    return _PER_OUTPUT[name](*shapes) * math.prod(shapes[-1])


def _op_name(schema, code):
    if code.CustomCode():
        return code.CustomCode().decode()
    # Old files have the first field alone, which is a byte.
    number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
    return _names(schema.BuiltinOperator)[number]


def _shape(tensor):
    return tuple(tensor.Shape(i) for i in range(tensor.ShapeLength()))


def _names(enumeration):
    return {v: k for k, v in vars(enumeration).items() if not k.startswith("_")}
