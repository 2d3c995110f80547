"""Look-up tables for activations without an int8 kernel in TFLite Micro.

If an int8 tensor is an elementwise function of a single other int8 tensor, each
element can take only 256 values. The ops in between then become one look-up,
which is exact up to rounding. Functions that the converter writes as several
ops (SELU, softplus, mish) no longer lose precision at each of them.
"""

import dataclasses
import math

import numpy as np

from tfprune.core import packages
from tfprune.export.edit import graph_edits
from tfprune.export.edit.replaced import comparisons
from tfprune.export.file import packing

# Ops without an int8 kernel in TFLite Micro.
_LACKING = {
    "CEIL",
    "COS",
    "EXP",
    "FLOOR",
    "GELU",
    "LOG",
    "NEG",
    "POW",
    "ROUND",
    "SIGN",
    "SIN",
    "SQRT",
    "SQUARE",
}

# What jumps, and in how many places from one whole number to the next.
_JUMPING = {"CEIL": 1, "FLOOR": 1, "ROUND": 2}
# What jumps where a quotient is a whole number, as a function of the quotient
# and of the divisor.
_OF_QUOTIENTS = {
    "FLOOR_DIV": lambda ratio, _: np.floor(ratio),
    "FLOOR_MOD": lambda ratio, divisor: divisor * (ratio - np.floor(ratio)),
}
# By what share a number may be off that was computed from a scale.
_NOISE = 1e-6
# Steps from one jump to the next that are many.
_FINE = 1 / 8

# And those that the converter emits in float, or with one scale for inputs and
# output, which clips.
_WRITTEN_OUT = _LACKING | {"DEQUANTIZE", "ELU", "SELECT", "SELECT_V2"}

# The kernel of HARD_SWISH stops where the steps of its output are so many times
# finer than those of its input, of which most are then far below zero.
_STEEP, _MOST = "steep HARD_SWISH", 128
_WRITTEN_OUT.add(_STEEP)


def _erf(x):
    return np.vectorize(math.erf, otypes=["f8"])(x)


def _gelu(op, x):
    if op.builtinOptions.approximate:
        inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
        return 0.5 * x * (1 + np.tanh(inner))
    return 0.5 * x * (1 + _erf(x / np.sqrt(2)))


def _leaky(op, x):
    return np.where(x > 0, x, op.builtinOptions.alpha * x)


_UNARY = {
    "ABS": np.abs,
    "CEIL": np.ceil,
    "COS": np.cos,
    "DEQUANTIZE": np.positive,
    "ELU": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "EXP": np.exp,
    "FLOOR": np.floor,
    "HARD_SWISH": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "LOG": np.log,
    "LOGISTIC": lambda x: 1 / (1 + np.exp(-x)),
    "NEG": np.negative,
    "QUANTIZE": np.positive,
    "RELU": lambda x: np.maximum(x, 0),
    "RELU6": lambda x: np.clip(x, 0, 6),
    "RELU_0_TO_1": lambda x: np.clip(x, 0, 1),
    "RELU_N1_TO_1": lambda x: np.clip(x, -1, 1),
    "ROUND": np.rint,
    "RSQRT": lambda x: 1 / np.sqrt(x),
    "SIGN": np.sign,
    "SIN": np.sin,
    "SQRT": np.sqrt,
    "SQUARE": np.square,
    "TANH": np.tanh,
}
_WITH_OPTIONS = {"GELU": _gelu, "LEAKY_RELU": _leaky}
_SEVERAL = {
    "ADD": np.add,
    "DIV": np.divide,
    "EQUAL": np.equal,
    "GREATER": np.greater,
    "GREATER_EQUAL": np.greater_equal,
    "LESS": np.less,
    "LESS_EQUAL": np.less_equal,
    "LOGICAL_AND": np.logical_and,
    "LOGICAL_NOT": np.logical_not,
    "LOGICAL_OR": np.logical_or,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "MUL": np.multiply,
    "NOT_EQUAL": np.not_equal,
    "POW": np.power,
    "SELECT": np.where,
    "SELECT_V2": np.where,
    "SQUARED_DIFFERENCE": lambda a, b: np.square(a - b),
    "SUB": np.subtract,
}


@dataclasses.dataclass(frozen=True)
class _Function:
    """A tensor as a function of another one.

    Attributes:
        root: `int`, the index of the tensor that it depends on.
        values: array `(256,)`, its real value for each int8 value of the root.
        kinds: set of `str`, the ops in between, and `_STEEP`.
    """

    root: int
    values: np.ndarray
    kinds: frozenset


def _codes(values, steps):
    """Real values as int8, of a scale and a zero point."""
    scale, zero = steps
    with np.errstate(all="ignore"):
        codes = values / scale
    codes = np.nan_to_num(codes, nan=-1e9, posinf=1e9, neginf=-1e9)
    codes = np.trunc(codes + np.copysign(0.5, codes)) + zero
    return np.clip(codes, -128, 127).astype("i1")


def tabulate(model):
    """Replaces such functions by tables, in all graphs of a model.

    Args:
        model: `ModelT`, as `packing.unpacked` returns it; changed in place.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    for graph in model.subgraphs:
        _Graph(schema, model, graph).tabulate()
    packing.sweep(model)


class _Graph:
    def __init__(self, schema, model, graph):
        self._schema, self._model, self._graph = schema, model, graph
        self._place = graph_edits.Place(schema, model, graph)

    def tabulate(self):
        functions = {}
        for op in self._graph.operators:
            self._follow(op, functions)
        for op in tuple(self._graph.operators):
            made = op.outputs[0] if len(op.outputs) == 1 else None
            found = functions.get(made)
            if (
                found is not None
                and found.kinds & _WRITTEN_OUT
                and self._steps(made) is not None
                and self._wanted(made, found.root, functions)
            ):
                self._look_up(op, found)
        self._drop_unused()

    def _steps(self, index):
        """Scale and zero point of an int8 tensor; `None` for others."""
        if self._place.type(index) != self._schema.TensorType.INT8:
            return None
        return self._place.steps(index)

    def _follow(self, op, functions):
        """Records the output of an op if it is a function of one tensor."""
        kind = self._place.kind(op)
        known = {*_UNARY, *_WITH_OPTIONS, *_SEVERAL, *_OF_QUOTIENTS}
        if kind not in known or len(op.outputs) != 1:
            return
        shape = self._place.shape(op.outputs[0])
        parts, kinds, root = [], {kind}, None
        if kind == "HARD_SWISH" and self._is_steep(op):
            kinds.add(_STEEP)
        # One is rounded to the steps of what it is compared with.
        rounded = kind in comparisons.KINDS and any(
            map(self._place.is_constant, op.inputs)
        )
        for index in op.inputs:
            constant = self._scalar(index)
            if constant is not None:
                parts.append(constant)
                continue
            found = functions.get(index) or self._itself(index)
            if found is None or self._place.shape(index) != shape:
                return
            if root not in (None, found.root):
                # A later op may still be a function of this op's output.
                return
            root = found.root
            if kind in _OF_QUOTIENTS:
                found = self._divided(op, index, found)
                if found is None:
                    return
            values = found.values
            if rounded:
                values = self._stored(index, values)
            elif kind in _JUMPING or kind in _OF_QUOTIENTS:
                values = self._snapped(kind, found)
            parts.append(values)
            kinds |= found.kinds
        if root is None:
            return
        with np.errstate(all="ignore"):
            values = self._computed(kind, op, parts)
        functions[op.outputs[0]] = _Function(root, values, frozenset(kinds))

    def _divided(self, op, index, found):
        """A function by a constant; `None` if it is not what is divided."""
        dividend, divisor = op.inputs
        divisor = self._scalar(divisor)
        if index != dividend or not divisor:
            return None
        return dataclasses.replace(found, values=found.values / divisor)

    def _is_steep(self, op):
        read, made = (self._steps(x[0]) for x in (op.inputs, op.outputs))
        return None not in (read, made) and read[0] >= _MOST * made[0]

    def _computed(self, kind, op, parts):
        if kind in _WITH_OPTIONS:
            values = _WITH_OPTIONS[kind](op, *parts)
        else:
            known = {**_UNARY, **_SEVERAL, **_OF_QUOTIENTS}
            values = known[kind](*parts)
        fused = getattr(op.builtinOptions, "fusedActivationFunction", 0)
        limits = {1: (0, np.inf), 2: (-1, 1), 3: (0, 6)}
        if fused in limits:
            values = np.clip(values, *limits[fused])
        return np.broadcast_to(values, (256,))

    def _holds_whole(self, index):
        """Whether an int8 tensor holds whole numbers as they are."""
        in_one = 1 / self._steps(index)[0]
        return round(in_one) > 0 and abs(in_one - round(in_one)) <= _NOISE

    def _stored(self, index, values):
        """What an int8 tensor, or one that was dequantized, has of values."""
        maker = self._place.maker(index)
        real = maker is not None and self._place.kind(maker) == "DEQUANTIZE"
        steps = self._steps(maker.inputs[0] if real else index)
        if steps is None:
            return values
        scale, zero = steps
        values = scale * (_codes(values, steps).astype(float) - zero)
        return values.astype("float32").astype(float) if real else values

    def _snapped(self, kind, found):
        """Values, of which those that miss a jump by their rounding meet it.

        A whole number may be stored as a little less than it is, unless the
        steps of the root are one or parts of one.
        """
        values, parts = found.values, _JUMPING.get(kind, 1)
        slack = _NOISE * np.maximum(np.abs(values), 1.0)
        if kind != "ROUND" and not self._holds_whole(found.root):
            gaps = np.abs(np.diff(values))
            gaps = np.maximum([*gaps, gaps[-1]], [gaps[0], *gaps])
            # Of few steps, a jump may lie between two that are exact.
            direct = found.kinds <= {"DEQUANTIZE"}
            slack += np.where(direct | (gaps <= _FINE), gaps / 2, 0.0)
        near = np.rint(values * parts) / parts
        return np.where(np.abs(values - near) <= slack, near, values)

    def _itself(self, index):
        steps = self._steps(index)
        buffer = self._model.buffers[self._graph.tensors[index].buffer]
        if steps is None or buffer.data is not None:
            return None
        scale, zero = steps
        return _Function(
            index, scale * (np.arange(-128.0, 128.0) - zero), frozenset()
        )

    def _scalar(self, index):
        """The real value of a constant with one element, or `None`."""
        tensor = self._graph.tensors[index]
        data = self._model.buffers[tensor.buffer].data
        if data is None:
            return None
        types = {
            **{"BOOL": "?", "FLOAT32": "<f4"},
            **{"INT8": "i1", "INT16": "<i2", "INT32": "<i4"},
        }
        types = {
            getattr(self._schema.TensorType, k): v for k, v in types.items()
        }
        if tensor.type not in types:
            return None
        values = np.frombuffer(bytes(data), types[tensor.type]).astype("f8")
        if values.size != 1:
            return None
        scale, zero = self._place.steps(index) or (1.0, 0)
        return float((values[0] - zero) * scale)

    def _wanted(self, index, root, functions):
        """Whether something reads a tensor other than longer functions of it.

        What only longer functions of the same root read is inside their tables.
        """
        readers = self._place.readers(index)
        return index in self._graph.outputs or not all(
            self._ends(op, root, functions) for op in readers
        )

    def _ends(self, op, root, functions):
        """Whether every path of ops from here ends in an int8 function."""
        made = functions.get(op.outputs[0])
        if made is None or made.root != root:
            return False
        if self._steps(op.outputs[0]) is not None:
            return True
        index = op.outputs[0]
        readers = self._place.readers(index)
        return (
            bool(readers)
            and index not in self._graph.outputs
            and all(self._ends(op, root, functions) for op in readers)
        )

    def _look_up(self, op, found):
        """Turns an op into a GATHER, whose indices have to be int32."""
        table = _codes(found.values, self._steps(op.outputs[0]))
        place = self._place
        cast = place.insert(op, "CAST", "CastOptions", [found.root])
        offset = place.add_constant(np.array([128]))
        shifted = place.insert(op, "ADD", "AddOptions", [cast, offset])
        values = place.add_int8(table, op.outputs[0])
        place.become(
            op, "GATHER", "GatherOptions", [values, shifted], version=2
        )

    def _drop_unused(self):
        """Removes ops whose outputs are no longer read."""
        graph = self._graph
        while True:
            read = {int(i) for i in graph.outputs}
            read |= {int(i) for op in graph.operators for i in op.inputs}
            kept = [
                op
                for op in graph.operators
                if any(int(i) in read for i in op.outputs)
                or not len(op.outputs)
            ]
            if len(kept) == len(graph.operators):
                return
            graph.operators = kept
