"""Budgets: how much of a model may remain."""

import dataclasses
import math
import typing

import numpy as np

from tfprune.core import boards
from tfprune.core import cores
from tfprune.core import typed
from tfprune.costs import core_table
from tfprune.costs import counting

LIMITS = (
    *("macs", "params", "channels", "peak_bytes", "flash_bytes"),
    *("ram_bytes", "image_bytes", "latency"),
)


@dataclasses.dataclass(frozen=True, repr=False)
class Budget:
    """Limits how much of a model may remain.

    A float in (0, 1] is a fraction of the dense model; an int is an absolute
    upper limit. The model must meet all limits that are given. `flash_bytes`,
    `ram_bytes` and `latency` are predicted; `tfprune.fit_target` verifies
    them on the file itself.

    Args:
        macs: multiply-adds per sample.
        params: number of weights.
        channels: number of channels, among those that can be removed.
        peak_bytes: peak activation memory in bytes.
        flash_bytes: bytes of the int8 model in flash: the array that
            `tfprune.export_micro` writes, which is smaller than the .tflite
            file.
        ram_bytes: tensor arena in bytes in which that model starts on TFLite
            Micro, with the kernels of the `core`.
        image_bytes: that array and the code that runs it in bytes, with
            CMSIS-NN on a Cortex-M; your own program comes on top.
        latency: time per sample on TFLite, a fraction or microseconds; with
            `target` a fraction or a number of instructions.
        depth: number of residual blocks, among those with an identity
            shortcut, or 0; in a network without any, of kernels whose output
            has the shape of their input (with the depthwise kernel before
            each). Whole blocks are removed before any channel is.
        latency_table: result of `tfprune.deploy.latency_table(model)`;
            required for `latency` unless there is a `target`.
        target: a core ("cortex-m55") whose measured layers are the table:
            instructions of CMSIS-NN's int8 kernels, counted in an emulator.
            Groups keep multiples of the channels that these compute at a
            time, unless `tfprune.prune` is given another `channel_multiple`.
        core: the core whose kernels `ram_bytes` is for, by default that of
            `target` or `board`, or else any Cortex-M.
        board: a name from `tfprune boards`, or a `core.boards.Board`; sets
            `flash_bytes` and `ram_bytes`, unless given, to the parts of its
            flash and RAM that a model may use.

    Raises:
        ValueError: If no limit is given, one is out of range, `latency` has
            no table, or the board or core is unknown.

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
    image_bytes: typed.Limit = None
    target: str | None = None
    core: str | None = None

    def __post_init__(self):
        for name in (*LIMITS, "depth"):
            value = getattr(self, name)
            if isinstance(value, np.generic):  # np.float32(0.5)
                object.__setattr__(self, name, value.item())
        if self.board is not None:
            board = boards.get(self.board)
            # One of your own is no name that can be looked up again.
            known = board.name if board.name in boards.names() else board
            object.__setattr__(self, "board", known)
            for name in ("flash_bytes", "ram_bytes"):
                if getattr(self, name) is None:
                    object.__setattr__(self, name, getattr(board, name))
        if self.core is not None:
            object.__setattr__(self, "core", cores.get(self.core))
        if self.target is not None:
            table = core_table.of(self.target)
            if self.latency_table is None:
                object.__setattr__(self, "latency_table", table)
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
                "latency_table=tfprune.deploy.latency_table(model), or the "
                'core that it is for: target="cortex-m4".'
            )
        for name, value in limits.items():
            fraction = isinstance(value, float) and 0 < value <= 1
            # No block may stay, but some weight must.
            least = 0 if name == "depth" else 1
            count = isinstance(value, (int, np.integer)) and value >= least
            if isinstance(value, bool) or not (fraction or count):
                raise ValueError(
                    "A limit must be a float in (0, 1], the fraction to keep "
                    "at most, or a positive int, an absolute maximum (for "
                    "depth also 0). "
                    f"Received: {name}={value!r}."
                )

    def __repr__(self):
        """The call with what is given, without the table of a latency."""
        names = [f.name for f in dataclasses.fields(self) if f.repr]
        given = {name: getattr(self, name) for name in names}
        told = (f"{k}={v!r}" for k, v in given.items() if v is not None)
        return f"{type(self).__name__}({', '.join(told)})"

    def limits(self):
        """Returns a `dict` from the name of each given limit to its value."""
        values = {name: getattr(self, name) for name in LIMITS}
        return {k: v for k, v in values.items() if v is not None}

    def check_channels(self):
        """Raises a `ValueError` if it limits more than channels: the depth."""
        if self.depth is not None:
            raise ValueError(
                "A limit on depth removes whole blocks, not channels. "
                f"Received: depth={self.depth!r}. Pass it to tfprune.prune."
            )

    @property
    def arena_core(self):
        """`core`, or that of the target or the board; `None` without one."""
        if self.core is not None or self.target is not None:
            return cores.get(self.core or self.target)
        if self.board is not None:
            return cores.find(boards.get(self.board).core)
        return None

    def meter(self, graph):
        """Returns a `costs.Meter` that measures everything under a limit."""
        return counting.Meter(graph, self.latency_table, self.arena_core)

    def ceilings(self, meter):
        """Returns a `dict` from each limit's name to its absolute value.

        Args:
            meter: the `meter` of the dense model.
        """
        return {
            name: _near(getattr(meter, name)() * value)
            if isinstance(value, float)
            else value
            for name, value in self.limits().items()
        }


def check(budget):
    """Raises a `TypeError` for what is neither a `Budget` nor `None`."""
    if budget is not None and not isinstance(budget, Budget):
        raise TypeError(
            "`budget` must be a tfprune.Budget, as in tfprune.Budget("
            f"macs=0.5). Received: budget={budget!r}."
        )


def limit(name, ceiling, meter):
    """A ceiling as a `Budget` takes it.

    All costs but latency are whole numbers. A latency becomes a fraction, as
    microseconds may be few.

    Args:
        name: `str`, the name of a limit.
        ceiling: `int` or `float`, its absolute value.
        meter: the `meter` of the model that is to be pruned.
    """
    if name != "latency":
        return max(1, int(_near(ceiling)))
    dense = meter.latency()
    if ceiling >= dense:
        return 1.0
    share = ceiling / dense
    # Rounding must not lead below the ceiling.
    return share if share * dense >= ceiling else math.nextafter(share, 1.0)


def _near(number):
    """A number, or the whole one above that rounding has led away from.

    0.29 * 100 is 28.999...
    """
    whole = round(number)
    near = math.isclose(number, whole, rel_tol=1e-12)
    # A dense model must not be above its own time.
    return max(whole, number) if near else number
