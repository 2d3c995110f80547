"""How many instructions ops take on a core, from a table of measured layers.

For each kind of op the instructions are a sum of terms that its kernels loop
over, with coefficients that are not negative, fitted to layers measured in an
emulator (`benchmarks/core_table.py`): int8, with CMSIS-NN or ESP-NN. Vectors
that are full in part cost as much as full ones, or more, so that counts between
channel multiples save little; this is what a limit on multiply-adds does not
see. (Measured layers as a cost model: Yang et al., "NetAdapt", 2018,
https://arxiv.org/abs/1804.03230.)
"""

import collections
import dataclasses

import numpy as np

from tfprune.costs import core_steps
from tfprune.costs import measured_tables
from tfprune.costs.kernels import cmsis_terms
from tfprune.costs.kernels import esp_terms

# Cores whose kernels are the same code as those of a measured one.
SAME = {
    "cortex-m0": "cortex-m0plus",
    "cortex-m23": "cortex-m0plus",
    "cortex-m7": "cortex-m4",
    "cortex-m33": "cortex-m4",
    "cortex-m85": "cortex-m55",
    "cortex-m52": "cortex-m55",
}
# Kernels whose loops are not those of CMSIS-NN.
_OTHER_KERNELS = {"esp32-s3": esp_terms}


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

    def of_pruned(self, graph, pruned):
        """The table of a model once it is pruned: the same, for any model."""
        del graph, pruned
        return self

    def instructions(self, size):
        """Of an op, `float`.

        Ops that were not measured take what a copy of their output takes.
        """
        others = ("ADD broadcast",) if size.broadcast else (size.kind, "ADD")
        name = next(
            name
            for name in (self.family(size), *others)
            if name in self.coefficients
        )
        pairs = zip(self.coefficients[name], self.terms(size), strict=True)
        return sum(a * b for a, b in pairs)

    def measured(self, size):
        """Whether the table has layers of an op's kind."""
        return self.family(size) in self.coefficients

    def family(self, size):
        """The ops that have coefficients in common with one, `str`."""
        return self._kernels.family(size)

    def terms(self, size):
        """The terms of an op, list of numbers, the constant first."""
        return self._kernels.terms(size)

    @property
    def _kernels(self):
        return _OTHER_KERNELS.get(self.core, cmsis_terms)

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
    known = measured_tables.table("core_coefficients")
    key = SAME.get(core, core) if isinstance(core, str) else None
    if key not in known:
        listed = sorted([*known, *(k for k, v in SAME.items() if v in known)])
        raise ValueError(
            f"Layers are measured on {', '.join(listed)}. Received: "
            f"core={core!r}. Take one of these, or measure it with "
            "benchmarks/core_table.py."
        )
    return CoreTable(core, known[key])
