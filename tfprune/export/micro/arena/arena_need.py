"""The arena that a file needs, for each kernel library that may run it."""

import dataclasses
import math
import numbers
import pathlib

from tfprune.core import cores
from tfprune.core.files import damage
from tfprune.export.file import modes
from tfprune.export.micro.arena import arena_plan
from tfprune.export.micro.arena import flat_ops

# Preprocessor conditions: ESP-IDF, and 32-bit pointers.
ESP, NARROW = "defined(ESP_PLATFORM)", "UINTPTR_MAX <= 0xFFFFFFFF"
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
    """The arena that a file needs on its target.

    Attributes:
        kernels: `str`, the kernels that were asked for ("auto").
        core: `str`, the core that was asked for; `None` means any.
        plans: `dict` from `(kernels, extension)` to `arena_plan.Plan`.
    """

    kernels: str
    core: str | None
    plans: dict

    @property
    def worst(self):
        """The `(kernels, extension)` with the largest arena."""
        return max(self.plans, key=lambda key: self.plans[key].bytes)

    @property
    def plan(self):
        """The `arena_plan.Plan` with the largest arena."""
        return self.plans[self.worst]

    @property
    def bytes(self):
        """`int`, the smallest arena in which all of them start and run."""
        return self.plan.bytes

    def __str__(self):
        return f"{self.bytes:,} bytes for {described(*self.worst)}"


def check_margin(share):
    """Raises `ValueError` unless the margin is finite and at least 0."""
    if not isinstance(share, numbers.Real) or not 0 <= share < math.inf:
        raise ValueError(
            "The margin must be a finite number of at least 0. Received: "
            f"arena_margin={share!r}. 0.1 is 10 %."
        )


def reserved(count, margin=0.0, limit=None):
    """Bytes of arena plus a margin (0.1 is 10 %), at most `limit`."""
    wanted = math.ceil(count * (1 + margin))
    wanted = -(-wanted // _ALIGNMENT) * _ALIGNMENT
    return wanted if limit is None else min(wanted, limit)


def described(kernels, extension):
    """A description of kernels, for messages and comments."""
    return _LIBRARIES[kernels] + _EXTENSIONS[extension]


def of(data, kernels="auto", core=None):
    """Plans the arena of a file for the kernels that may run it.

    Args:
        data: `bytes` of a .tflite file, or the path of one.
        kernels: "reference", "cmsis-nn", "esp-nn" or "auto": the reference
            kernels and the optimized ones of the core; without a core,
            CMSIS-NN on any Cortex-M.
        core: `str`, the core of the target ("cortex-m55", "esp32-s3"), or
            `None` for any.

    Returns:
        A `Need`.

    Raises:
        ValueError: If there are no such kernels or core, if the kernels do
            not run on the core, or if the file is damaged.
    """
    modes.check_kernels(kernels)
    if core is not None:
        core = cores.get(core)
    variants = cores.variants(kernels, core)
    if not isinstance(data, bytes):
        data = pathlib.Path(data).read_bytes()
    graphs = flat_ops.read(data)
    # An op of a damaged file may have fewer inputs than its kernel reads.
    with damage.reading("a .tflite file"):
        plans = {key: arena_plan.plan(graphs, *key) for key in variants}
    return Need(kernels, core, plans)


def macros(upper, branches, measured):
    """The part of `model_settings.h` that sets the size of the arena.

    Args:
        upper: `str`, the prefix of the macros, in capitals.
        branches: list of `(condition, need, reserved)`: a condition of the
            preprocessor, a `Need` or `None` for what was measured, and the
            bytes to reserve.
        measured: `int`, bytes measured with 64-bit pointers.

    Returns:
        `str`, C text.
    """
    text = (
        "// The smallest arena in which TFLite Micro starts and runs, and the "
        f"size to reserve.\n#define {upper}_ARENA_MEASURED {measured}\n"
    )
    word = "#if"
    for condition, need, reserved in branches:
        if need is None:
            about = "// Measured with 64-bit pointers"
            count = measured
        else:
            listed = ",\n//   ".join(
                f"{described(*key)}: {plan.bytes}"
                for key, plan in need.plans.items()
            )
            where = need.core or "any core"
            about = f"// Predicted for 32-bit pointers, {where}:\n//   {listed}"
            count = need.bytes
        text += f"""\
{f"{word} {condition}" if condition else "#else"}
{about}.
#define {upper}_ARENA_NEEDED {count}
#ifndef {upper}_ARENA_BYTES
#define {upper}_ARENA_BYTES {reserved}
#endif
"""
        word = "#elif"
    return text + "#endif"
