"""How many channels of a group may stay: at least so many, in steps.

Kernels compute some channels at a time, so that a count in between costs as
much as the next step: `docs/results/channel_multiples.md` has measurements.
"""

import dataclasses

import numpy as np

# CMSIS-NN multiplies four int8 values at a time; Ethos-U stores feature maps
# in bricks of 16 channels; XNNPACK's int8 kernels write 8 or 16 channels.
TARGETS = {
    "cortex-m": 4,
    "ethos-u55": 16,
    "ethos-u65": 16,
    "ethos-u85": 16,
    "xnnpack": 8,
}


@dataclasses.dataclass(frozen=True)
class Rounding:
    """Rounds counts of channels up.

    Args:
        least: `int`, how many channels of each group stay at least.
        multiple: `int`, each group keeps a multiple of it, or all.
        target: a key of `TARGETS`, which stands for its multiple, or `None`.

    Raises:
        ValueError: If a number is not a positive int, there is no such target,
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
                f"target must be one of {', '.join(TARGETS)}. Received: "
                f"target={self.target!r}."
            )
        if self.multiple != 1:
            raise ValueError(
                "A target stands for a multiple. Received: target="
                f"{self.target!r} and channel_multiple={self.multiple}. Leave "
                "out one of them."
            )
        object.__setattr__(self, "multiple", TARGETS[self.target])

    def up(self, count, total):
        """The count that stays of `total` channels, at least `count`."""
        count = max(count, min(self.least, total))
        return min(total, -(-count // self.multiple) * self.multiple)
