"""How many instructions ops take on a core, from a table of measured layers.

For each kind of op the instructions are a sum of terms that its kernels loop
over, with coefficients that are not negative, fitted to layers measured in an
emulator (`benchmarks/core_table.py`): int8, CMSIS-NN. Vectors that are full in
part cost as much as full ones, so that counts between channel multiples save
little; this is what a limit on multiply-adds does not see. (Measured layers as
a cost model: Yang et al., "NetAdapt", 2018, https://arxiv.org/abs/1804.03230.)
"""

import collections
import dataclasses

import numpy as np

from tfprune.costs import core_coefficients
from tfprune.costs import core_steps

# Cores whose kernels are the same code as those of a measured one.
SAME = {
    "cortex-m0": "cortex-m0plus",
    "cortex-m23": "cortex-m0plus",
    "cortex-m7": "cortex-m4",
    "cortex-m33": "cortex-m4",
    "cortex-m85": "cortex-m55",
    "cortex-m52": "cortex-m55",
}
_VECTOR, _WORD = 16, 4
# With more input channels, CMSIS-NN makes a convolution of a transposed one.
_REVERSED = 16


def _up(count, step):
    return -(-count // step)


def _products(places, depth, writes):
    """Terms of a product of matrices, row by row and four rows at a time."""
    pairs = _up(writes, 2)
    rows = _up(places, 2)
    return [
        places * writes,
        places * writes * _up(depth, _VECTOR),
        places * pairs * (depth // _VECTOR),
        places * pairs * (depth % _VECTOR // _WORD),
        places * pairs * (depth % _WORD),
        places * (writes % 2) * depth,
        rows * pairs,
        rows * pairs * (depth // _WORD),
        writes,
        writes * depth,
        writes * _up(depth, _VECTOR),
    ]


def _convolved(size, places):
    """Terms of products of windows, which are copied into rows."""
    depth = size.window * size.reads
    copies = [
        places,
        places * depth,
        places * size.window,
        places * size.window * _up(size.reads, _VECTOR),
    ]
    return [1, *_products(places, depth, size.writes // size.groups), *copies]


def _scattered(size):
    """Terms of products of places, which are added to windows."""
    places = max(1, size.places // size.stride)
    spread = size.window * size.writes
    return [
        1,
        *_products(places, size.reads, spread),
        places * spread,
        places * size.window * _up(size.writes, _VECTOR),
        size.places * size.writes,
        size.places * _up(size.writes, _VECTOR),
    ]


def terms(size):
    """The terms of an op, list of numbers, the constant first."""
    depth = size.window * size.reads
    count = size.places * size.writes
    if size.kind == "TRANSPOSE_CONV":
        if family(size) == size.kind:
            return _scattered(size)
        # A convolution of maps with zeros between.
        return [*_convolved(size, size.places), size.writes * depth]
    if size.kind in ("CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"):
        return _convolved(size, size.places * size.groups)
    if size.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        units = size.places * size.writes
        return [
            *(1, size.places, units, units * size.reads, units * size.writes),
            units * _up(size.reads, _VECTOR),
            units * _up(size.writes, _VECTOR),
        ]
    if size.kind == "DEPTHWISE_CONV_2D":
        return [
            1,
            size.places,
            count,
            count * size.window,
            size.places * _up(size.writes, _WORD),
            size.places * _up(size.writes, _WORD) * size.window,
            size.places * _up(size.writes, _VECTOR),
            size.places * _up(size.writes, _VECTOR) * size.window,
            size.places * (size.writes % _WORD) * size.window,
            size.places * size.window,
        ]
    return [
        1,
        size.places,
        count,
        count * size.window,
        size.places * _up(size.writes, _WORD),
        size.places * size.window * _up(size.writes, _VECTOR),
        count // _VECTOR,
        size.writes,
    ]


def family(size):
    """Ops of one family have coefficients in common."""
    if size.kind == "CONV_2D":
        if size.groups > 1:
            return "CONV_2D groups"
        if size.window == 1:
            return "CONV_2D 1x1" + (", strided" if size.stride > 1 else "")
        if size.way == "row":
            even = size.stride * size.reads % _WORD == 0
            return "CONV_2D row" if even else "CONV_2D row, odd"
        return "CONV_2D"
    if size.kind == "TRANSPOSE_CONV" and size.reads > _REVERSED:
        return f"{size.kind} reversed" if size.stride <= 4 else size.kind
    if size.kind == "DEPTHWISE_CONV_2D":
        return f"{size.kind} {_by_channel(size)}".rstrip()
    if size.broadcast:
        return f"{size.kind} broadcast"
    return f"{size.kind} {size.way}".rstrip()


def _by_channel(size):
    if size.way:
        return size.way
    if size.writes > size.reads:
        if size.reads == 1:
            return "of one"
        fours = size.writes // size.reads % _WORD == 0
        return "times four" if fours else "times"
    return "3x3" if size.window == 9 else ""


@dataclasses.dataclass(frozen=True)
class CoreTable:
    """Instructions of ops on a core.

    Attributes:
        core: `str`, as asked for.
        coefficients: `dict` from a `family` to a list of `float`, one for
            each of its `terms`.
    """

    core: str
    coefficients: dict
    # As a table of measured times says it.
    quantize: str = "int8"

    def predict(self, graph, keep=None):
        """Instructions of a model with only some channels, `float`.

        Args:
            graph: the `ChannelGraph` of the model.
            keep: bool array, shape `(graph.size,)`; `None` keeps all.
        """
        keep = np.ones(graph.size, bool) if keep is None else keep
        return self.total(core_steps.sizes(graph, keep))

    def instructions(self, size):
        """Of an op, `float`.

        Ops that were not measured take what a copy of their output takes.
        """
        others = ("ADD broadcast",) if size.broadcast else (size.kind, "ADD")
        name = next(
            name
            for name in (family(size), *others)
            if name in self.coefficients
        )
        pairs = zip(self.coefficients[name], terms(size), strict=True)
        return sum(a * b for a, b in pairs)

    def measured(self, size):
        """Whether the table has layers of an op's kind."""
        return family(size) in self.coefficients

    def total(self, sizes):
        """Of some ops, `float`."""
        counts = collections.Counter(sizes)  # Time steps are alike.
        return sum(n * self.instructions(size) for size, n in counts.items())


def of(core):
    """The `CoreTable` of a core.

    Args:
        core: `str`, "cortex-m55" for example.

    Raises:
        ValueError: If no layers of it were measured; lists those that have
            some.
    """
    known = core_coefficients.COEFFICIENTS
    key = SAME.get(core, core)
    if key not in known:
        listed = sorted([*known, *(k for k, v in SAME.items() if v in known)])
        raise ValueError(
            f"Layers are measured on {', '.join(listed)}. Received: "
            f"core={core!r}. Take one of these, or measure it with "
            "benchmarks/core_table.py."
        )
    return CoreTable(core, known[key])
