"""The aim of a run: a budget, a board, a limit or a loss."""

import dataclasses
import numbers

from tfprune.core import boards
from tfprune.core import cores
from tfprune.deploy import latency as latency_lib
from tfprune.pipeline import channel_choice
from tfprune.selection import Budget

_NAMES = ("budget", "board", "macs", "latency", "max_loss")
_BY_LOSS = ("macs", "params")
MICRO = ("flash_bytes", "ram_bytes", "image_bytes")
TABLE = "latency table"


@dataclasses.dataclass(frozen=True)
class Wish:
    """Exactly one of a budget, a board, a limit or a loss.

    Args:
        budget: a `tfprune.Budget`.
        board: the name of a board or a `core.boards.Board`.
        macs: a limit, as in `Budget`.
        latency: a limit, as in `Budget`; its table is measured.
        max_loss: `float`, the loss of the metric that is allowed, in units of
            the metric.

    Raises:
        TypeError: If `budget` is not a `tfprune.Budget`.
        ValueError: If none or several are given, or one is out of range.
    """

    budget: object = None
    board: object = None
    macs: object = None
    latency: object = None
    max_loss: float | None = None

    def __post_init__(self):
        given = self.given()
        if len(given) != 1:
            raise ValueError(
                f"Exactly one of {', '.join(_NAMES)} is required. Received: "
                f"{', '.join(given) or 'none'}. Put several limits into one "
                "tfprune.Budget."
            )
        if self.budget is not None and not isinstance(self.budget, Budget):
            raise TypeError(
                "`budget` must be a tfprune.Budget. Received: "
                f"budget={self.budget!r}. Pass what may remain, as in "
                "tfprune.Budget(flash_bytes=64_000)."
            )
        if self.max_loss is not None and not (
            isinstance(self.max_loss, numbers.Real) and self.max_loss >= 0
        ):
            raise ValueError(
                "`max_loss` must be 0 or more, in units of the metric. "
                f"Received: max_loss={self.max_loss!r}."
            )
        if self.board is not None:
            boards.get(self.board)
        if self.macs is not None:
            Budget(macs=self.macs)

    def given(self):
        """`dict` from the names of the given arguments to their `repr`."""
        found = {name: getattr(self, name) for name in _NAMES}
        return {k: repr(v) for k, v in found.items() if v is not None}

    @property
    def needs_table(self):
        """`bool`, whether a latency table has to be measured."""
        return self.latency is not None

    @property
    def is_micro(self):
        """`bool`, whether flash or RAM is limited."""
        if self.budget is not None:
            return bool(set(MICRO) & self.budget.limits().keys())
        return self.board is not None

    @property
    def shares(self):
        """`dict` from the limits that are fractions to these."""
        given = {} if self.budget is None else self.budget.limits()
        return {k: v for k, v in given.items() if isinstance(v, float)}

    @property
    def board_name(self):
        """`str`, or a `Board` that is not in the list, or `None`."""
        if self.budget is not None:
            return self.budget.board
        return None if self.board is None else Budget(board=self.board).board

    def place(self):
        """`dict` with the name of the board, if there is one, in words."""
        name = self.board_name
        return {} if name is None else {"board": boards.get(name).title}

    @property
    def core(self):
        """The board's core as `export_micro` takes it; `None` without one."""
        name = self.board_name
        return None if name is None else cores.get(boards.get(name).core)

    @property
    def dense_scales(self):
        """As `export_tflite` takes it; `None` where any will do."""
        name = self.board_name
        is_arduino = name is not None and boards.get(name).is_arduino
        return "tensor" if is_arduino else None

    def resolved(self, model, space, calibration):
        """The `tfprune.Budget`; `None` for a loss.

        Args:
            model: the dense `keras.Model`.
            space: a `Workspace`, which stores the latency table.
            calibration: inputs to calibrate the files of single layers on.
        """
        if self.max_loss is not None:
            return None
        if self.board is not None:
            return Budget(board=self.board)
        if self.macs is not None:
            return Budget(macs=self.macs)
        if self.budget is not None:
            return self.budget
        found = space.get(TABLE)
        if found is None:
            table = latency_lib.latency_table(model, "int8", calibration)
            space.put(TABLE, dataclasses.asdict(table))
        else:
            table = latency_lib.LatencyTable(**found)
        return Budget(latency=self.latency, latency_table=table)


@dataclasses.dataclass(frozen=True)
class Costs:
    """Absolute limits, and the costs of the dense model.

    Attributes:
        ceilings: `dict` from limits to numbers; empty for a loss.
        dense: `dict` from names to predicted costs of the dense model.
        table: latency table or `None`.
    """

    ceilings: dict
    dense: dict
    table: object = None


def costs(budget, graph, recipe, selection, options, on_files=()):
    """The `Costs` of a budget, which must be reachable.

    Args:
        budget: a `tfprune.Budget`, or `None` for a loss.
        graph: the `ChannelGraph` of the dense model.
        recipe: a `Recipe`.
        selection: `(x, y)`, for the criterion.
        options: `dict`, arguments of `tfprune.prune`.
        on_files: names of limits on what is measured on files. Predictions
            do not tell whether these can be reached.

    Returns:
        A `Costs`.

    Raises:
        ValueError: If even the smallest network exceeds a limit; the message
            gives the smallest possible value.
    """
    if budget is None:
        meter = Budget(macs=1.0).meter(graph)
        dense = {name: int(getattr(meter, name)()) for name in _BY_LOSS}
        return Costs({}, dense)
    meter = budget.meter(graph)
    ceilings = budget.ceilings(meter)
    dense = {name: getattr(meter, name)() for name in ceilings}
    smallest = channel_choice.smallest(graph, options)
    predicted = {
        name: max(int(ceilings[name]), getattr(meter, name)(smallest))
        for name in on_files
        if name in ceilings
    }
    # Raises the error if the budget cannot be reached, before any training.
    channel_choice.ranking(
        *(graph, dataclasses.replace(budget, **predicted), recipe.criterion),
        *(selection, options),
    )
    return Costs(
        {
            name: channel_choice.whole(name, value)
            for name, value in ceilings.items()
        },
        {name: float(value) for name, value in dense.items()},
        budget.latency_table,
    )
