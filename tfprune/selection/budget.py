"""How much of a model may remain."""

import dataclasses
import typing

import numpy as np

from tfprune.core import boards
from tfprune.core import typed
from tfprune.costs import counting

LIMITS = (
    *("macs", "params", "channels", "peak_bytes", "flash_bytes"),
    *("ram_bytes", "latency"),
)


@dataclasses.dataclass(frozen=True)
class Budget:
    """How much of a model may remain.

    A float in (0, 1] is a fraction of the dense model, an int an absolute
    ceiling. Several limits hold together. The last three are predicted;
    `tfprune.fit_target` confirms them on the file itself.

    Args:
        macs: multiply-adds of one sample.
        params: weights.
        channels: channels, of those that may be removed.
        peak_bytes: bytes of activations alive at one time.
        flash_bytes: size of the int8 .tflite file.
        ram_bytes: tensor arena of that file on TFLite Micro.
        latency: time of one sample on TFLite, a fraction or microseconds.
        depth: residual blocks, of those whose input goes on unchanged beside
            them; whole blocks go, before any channel does.
        latency_table: what `tfprune.deploy.latency_table(model)` measured;
            needed for `latency`.
        board: a name that `tfprune boards` lists, or a `core.boards.Board`:
            the shares of its flash and RAM that a model may take stand for
            `flash_bytes` and `ram_bytes`, unless these are given.

    Raises:
        ValueError: If no limit is given, one is out of range, there is no
            table for `latency`, or no such board.

    Example:

    >>> tfprune.Budget(macs=0.5)
    >>> tfprune.Budget(flash_bytes=64_000, ram_bytes=40_000)
    >>> tfprune.Budget(board="nano-33-ble")
    """

    macs: typed.Limit = None
    params: typed.Limit = None
    channels: typed.Limit = None
    peak_bytes: typed.Limit = None
    flash_bytes: typed.Limit = None
    ram_bytes: typed.Limit = None
    latency: typed.Limit = None
    latency_table: typing.Any = dataclasses.field(default=None, repr=False)
    depth: typed.Limit = None
    board: typing.Any = None

    def __post_init__(self):
        for name in (*LIMITS, "depth"):
            value = getattr(self, name)
            if isinstance(value, np.generic):  # np.float32(0.5)
                object.__setattr__(self, name, value.item())
        if self.board is not None:
            board = boards.get(self.board)
            object.__setattr__(self, "board", board.name)
            for name in ("flash_bytes", "ram_bytes"):
                if getattr(self, name) is None:
                    object.__setattr__(self, name, getattr(board, name))
        limits = self.limits()
        if self.depth is not None:
            limits["depth"] = self.depth
        if not limits:
            raise ValueError(
                "A budget needs at least one limit: "
                f"{', '.join((*LIMITS, 'depth', 'board'))}. "
                "Received: none."
            )
        if self.latency is not None and self.latency_table is None:
            raise ValueError(
                "A limit on latency needs measured layers. Received: "
                f"latency={self.latency!r}, latency_table=None. Give "
                "latency_table=tfprune.deploy.latency_table(model)."
            )
        for name, value in limits.items():
            fraction = isinstance(value, float) and 0 < value <= 1
            count = isinstance(value, (int, np.integer)) and value > 0
            if isinstance(value, bool) or not (fraction or count):
                raise ValueError(
                    "A limit must be a float in (0, 1], the fraction that may "
                    "remain, or a positive int, an absolute ceiling. "
                    f"Received: {name}={value!r}."
                )

    def limits(self):
        """`dict` from the name of each limit that is set to its value."""
        values = {name: getattr(self, name) for name in LIMITS}
        return {k: v for k, v in values.items() if v is not None}

    def meter(self, graph):
        """A `costs.Meter` that knows all that the limits are about."""
        return counting.Meter(graph, self.latency_table)

    def ceilings(self, meter):
        """`dict` from each limit's name to what it allows, in units.

        Args:
            meter: the `meter` of the dense model.
        """
        return {
            name: getattr(meter, name)() * value
            if isinstance(value, float)
            else value
            for name, value in self.limits().items()
        }
