"""How large an arena a file needs, by the kernels that may run it."""

import dataclasses
import math
import pathlib

from tfprune.export.file import modes
from tfprune.export.micro.arena import arena_plan
from tfprune.export.micro.arena import cores
from tfprune.export.micro.arena import flat_ops

_ALIGNMENT = 16
_LIBRARIES = {
    "reference": "the reference kernels",
    "cmsis-nn": "CMSIS-NN",
    "esp-nn": "ESP-NN",
}
_EXTENSIONS = {
    "plain": "",
    "dsp": " with the DSP extension",
    "mve": " with the vector extension",
    "vector": " of the ESP32-S3",
}


@dataclasses.dataclass(frozen=True)
class Need:
    """The arena that a file needs where it shall run.

    Attributes:
        kernels: `str`, as asked for: "auto".
        core: `str` as asked for; `None` for any.
        plans: `dict` from `(kernels, extension)` to `arena_plan.Plan`.
    """

    kernels: str
    core: str | None
    plans: dict

    @property
    def worst(self):
        """The `(kernels, extension)` that need most."""
        return max(self.plans, key=lambda key: self.plans[key].bytes)

    @property
    def plan(self):
        """Their `arena_plan.Plan`."""
        return self.plans[self.worst]

    @property
    def bytes(self):
        """The least arena that all of them start and run in, `int`."""
        return self.plan.bytes

    def __str__(self):
        return f"{self.bytes:,} bytes for {described(*self.worst)}"


def reserved(count, margin=0.0, limit=None):
    """Bytes of arena and a share beyond them, never above a limit."""
    wanted = math.ceil(count * (1 + margin))
    wanted = -(-wanted // _ALIGNMENT) * _ALIGNMENT
    return wanted if limit is None else min(wanted, limit)


def described(kernels, extension):
    """Kernels in words."""
    return _LIBRARIES[kernels] + _EXTENSIONS[extension]


def of(data, kernels="auto", core=None):
    """Plans the arena of a file for the kernels that may run it.

    Args:
        data: `bytes` of a .tflite file, or the path of one.
        kernels: "reference", "cmsis-nn", "esp-nn" or "auto": the reference
            kernels and the optimized ones of the core, CMSIS-NN on any
            Cortex-M where no core is named.
        core: `str`, the core that it shall run on ("cortex-m55",
            "esp32-s3"), or `None` for any.

    Returns:
        A `Need`.

    Raises:
        ValueError: If there are no such kernels or core, or if the kernels do
            not run on the core.
    """
    modes.check_kernels(kernels)
    if core is not None:
        core = cores.get(core)
    variants = cores.variants(kernels, core)
    if not isinstance(data, bytes):
        data = pathlib.Path(data).read_bytes()
    graphs = flat_ops.read(data)
    plans = {key: arena_plan.plan(graphs, *key) for key in variants}
    return Need(kernels, core, plans)


def macros(upper, branches, measured):
    """The part of `model_settings.h` that says how much arena to reserve.

    Args:
        upper: `str` that names begin with.
        branches: list of `(condition, need, reserved)`: of the preprocessor,
            a `Need` or `None` for what was measured, and bytes to reserve.
        measured: `int`, bytes where pointers have 64 bits.

    Returns:
        A `str`.
    """
    text = (
        f"// The least arena that TFLite Micro starts and runs in, and what to "
        f"reserve.\n#define {upper}_ARENA_MEASURED {measured}\n"
    )
    word = "#if"
    for condition, need, reserved in branches:
        if need is None:
            about = "// Measured where pointers have 64 bits."
            count = measured
        else:
            listed = ",\n//   ".join(
                f"{described(*key)}: {plan.bytes}"
                for key, plan in need.plans.items()
            )
            where = need.core or "any such core"
            about = f"// 32 bits, {where}:\n//   {listed}"
            count = need.bytes
        text += f"""\
{f"{word} {condition}" if condition else "#else"}
{about}.
#define {upper}_ARENA_NEEDED {count}
#ifndef {upper}_ARENA_BYTES
#define {upper}_ARENA_BYTES {reserved}
#endif
""".replace("bits..", "bits.")
        word = "#elif"
    return text + "#endif"
