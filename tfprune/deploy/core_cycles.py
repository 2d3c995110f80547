"""How long a file takes on a core, op by op, before there is a board."""

import dataclasses
import pathlib

from tfprune.core import cores
from tfprune.core import printed
from tfprune.core import typed
from tfprune.core.files import damage
from tfprune.costs import core_table
from tfprune.export.file import model_file
from tfprune.export.file import tensor_names
from tfprune.export.micro import op_sizes
from tfprune.export.micro.arena import flat_ops


@dataclasses.dataclass(frozen=True)
class OpCycles:
    """What one op takes.

    Attributes:
        op: `str`, its kind, as the schema of TFLite names it.
        output: `str`, the layers whose output it writes, "bn + conv" if they
            are fused.
        instructions: `int`.
        share: `float` in [0, 1], of the file.
        measured: `bool`, whether ops of its kind were measured; others take
            what a copy of their output takes.
    """

    op: str
    output: str
    instructions: int
    share: float
    measured: bool


@dataclasses.dataclass(frozen=True)
class Cycles(printed.Printed):
    """What a file takes on a core.

    Attributes:
        core: `str`.
        instructions: `int`, of one inference.
        ops: tuple of `OpCycles`, in the order of the file.
    """

    core: str
    instructions: int
    ops: tuple[OpCycles, ...]


def cycles(path: typed.Path, core: str) -> Cycles:
    """Instructions of an int8 file on a core, op by op.

    From a table of layers whose instructions an emulator (qemu) counted, with
    the kernels of CMSIS-NN; for the ESP32-S3, with those of ESP-NN, a simulator
    of its instructions did. No board was measured. A Cortex-M4 takes about one
    cycle for each, more where memory is slow; a Cortex-M55 takes several for a
    vector. The Cortex-M7 and M33 run the same code as the M4, the M52 and M85
    that of the M55, and the M0 and M23 that of the M0+, whose kernels are plain
    C, as are those of the M3. Compare files and layers by it.

    Args:
        path: `str` or path-like, a .tflite file of int8.
        core: `str`, such as "cortex-m55".

    Returns:
        A `Cycles`.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        ValueError: If it is not a TFLite model of int8, or if no layers were
            measured on the core.

    Example:

    >>> print(tfprune.deploy.cycles("model.tflite", core="cortex-m55"))
    """
    core = cores.get(core)
    table = core_table.of(core)
    model_file.read(path)
    graphs = flat_ops.read(pathlib.Path(path).read_bytes())
    # But for the cell states of LSTM ops.
    types = {t.dtype for t in graphs[0].tensors if not t.variable}
    if "INT16" in types or "INT8" not in types:
        raise ValueError(
            "The file must be quantized to int8, as the layers that were "
            f"measured. Received: {str(path)!r}. Export it with "
            'quantize="int8".'
        )
    # An op of a damaged file may have fewer inputs than its kernel reads.
    with damage.reading(path):
        found = [(op, op_sizes.of(op)) for graph in graphs for op in graph.ops]
    counts = [table.instructions(size) for _, size in found]
    total = max(sum(counts), 1)
    return Cycles(
        core=core,
        instructions=round(total),
        ops=tuple(
            OpCycles(
                op=op.kind,
                output=_written(op),
                instructions=round(count),
                share=count / total,
                measured=table.measured(size),
            )
            for (op, size), count in zip(found, counts, strict=True)
        ),
    )


def _written(op):
    return tensor_names.layers(op.outputs[0].name) if op.outputs else ""
