"""Rounds the number of channels that a group keeps.

Kernels compute several channels at a time, so a count between two multiples
costs as much as the higher one; `docs/results/channel_multiples.md` has
measurements.
"""

import dataclasses

import numpy as np

# CMSIS-NN multiplies four int8 values at a time, one where the core has no
# instruction for more, and sixteen with the vector extension, of which half a
# vector is the finer step; ESP-NN's assembly for the ESP32-S3 takes 8 channels,
# and counts between run in C; Ethos-U stores feature maps in bricks of 16
# channels; XNNPACK's int8 kernels write 8 or 16 channels.
TARGETS = {
    "cortex-m": 4,
    "cortex-m0": 1,
    "cortex-m0plus": 1,
    "cortex-m3": 1,
    "cortex-m23": 1,
    "cortex-m4": 4,
    "cortex-m7": 4,
    "cortex-m33": 4,
    "cortex-m52": 8,
    "cortex-m55": 8,
    "cortex-m85": 8,
    "esp32-s3": 8,
    "ethos-u55": 16,
    "ethos-u65": 16,
    "ethos-u85": 16,
    "xnnpack": 8,
}


@dataclasses.dataclass(frozen=True)
class Rounding:
    """Rounds counts of channels up.

    Args:
        least: `int`, minimum number of channels that each group keeps.
        multiple: `int`, each group keeps a multiple of it, or all.
        target: a key of `TARGETS` that sets the multiple, or `None`.

    Raises:
        ValueError: If a number is not a positive int, the target is unknown,
            or both a multiple and a target are given.
    """

    least: int = 1
    multiple: int = 1
    target: str | None = None

    def __post_init__(self):
        for name, value in (
            ("min_channels", self.least),
            ("channel_multiple", self.multiple),
        ):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(
                    f"`{name}` must be a positive int. Received: "
                    f"{name}={value!r}."
                )
        if self.target is None:
            return
        if self.target not in TARGETS:
            raise ValueError(
                f"`target` must be one of {', '.join(TARGETS)}. Received: "
                f"target={self.target!r}."
            )
        if self.multiple != 1:
            raise ValueError(
                "A target sets the channel multiple. Received: target="
                f"{self.target!r} and channel_multiple={self.multiple}. Give "
                "only one of them."
            )
        object.__setattr__(self, "multiple", TARGETS[self.target])

    def up(self, count, total):
        """Rounds `count` up to an allowed count of `total` channels."""
        count = max(count, min(self.least, total))
        return min(total, -(-count // self.multiple) * self.multiple)
