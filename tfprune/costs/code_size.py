"""Bytes of the code that runs a file: TFLite Micro and the kernels of its ops.

From a table of what the linker keeps, with GCC and TFLite Micro's own flags
(`tools/code_sizes.py`). Functions that several kernels need count once. The
start-up code of a board, drivers and your own program come beside.
"""

import dataclasses

from tfprune.costs import measured_tables

# What a kernel that was not measured is taken for: most are smaller.
UNKNOWN_BYTES = 4096
# Where nothing nearer was measured.
_ALL = "cmsis-nn cortex-m4"
# By the kernels of a file, and the code that its core executes.
_NEAREST = {"mve": "cortex-m55"}


@dataclasses.dataclass(frozen=True)
class CodeSize:
    """What code takes of flash.

    Attributes:
        kernels: `str`, and the core that they were compiled for.
        runtime_bytes: `int`, the interpreter and what it needs.
        op_bytes: `int`, the kernels of the ops.
        by_op: `dict` from an op to the bytes that it alone needs; what several
            ops share stands under "shared".
        unmeasured: tuple of `str`, ops that no table has.
    """

    kernels: str
    runtime_bytes: int
    op_bytes: int
    by_op: dict
    unmeasured: tuple

    @property
    def bytes(self):
        """`int`, of all."""
        return self.runtime_bytes + self.op_bytes


def of(ops, kernels="cmsis-nn", extension="dsp"):
    """The code of some ops.

    Args:
        ops: names of ops, as the schema of TFLite has them ("CONV_2D").
        kernels: "reference", "cmsis-nn" or "esp-nn"; what was not measured
            counts as the nearest that was, which the result names.
        extension: `str`, as `cores.variants` names them.

    Returns:
        A `CodeSize`.
    """
    family = "cmsis-nn" if kernels == "cmsis-nn" else "reference"
    tables = measured_tables.table("code_parts")
    wanted = f"{family} {_NEAREST.get(extension, 'cortex-m4')}"
    key = next(k for k in (wanted, f"{family} cortex-m4", _ALL) if k in tables)
    table = tables[key]
    plain = {_plain(op): op for op in sorted(ops)}
    by_op, known = dict.fromkeys(plain.values(), 0), set()
    for size, names in table["parts"]:
        known |= {_plain(name) for name in names}
        using = [plain[n] for n in map(_plain, names) if n in plain]
        if using:
            owner = using[0] if len(using) == 1 else "shared"
            by_op[owner] = by_op.get(owner, 0) + size
    unmeasured = tuple(op for name, op in plain.items() if name not in known)
    by_op |= dict.fromkeys(unmeasured, UNKNOWN_BYTES)
    return CodeSize(
        kernels=key,
        runtime_bytes=table["base"],
        op_bytes=sum(by_op.values()),
        by_op=by_op,
        unmeasured=unmeasured,
    )


def _plain(name):
    """An op's name as all tables agree on it."""
    return name.removeprefix("TFLM_").replace("_", "").lower()
