"""Schedules: the sparsity at each optimizer step, and when updates are due.

A schedule is a frozen record and a pure function of the step. A caller asks two
questions: `schedule.due(step, last)` (has an update fallen due since step
`last`?) and `schedule(step)` (how sparse?).
"""

import dataclasses
import math
import numbers
from collections.abc import Callable

from tfprune.core import records
from tfprune.core import registry
from tfprune.schedules import timing

SCHEDULES = registry.Registry("schedule")


@SCHEDULES.register("constant")
@dataclasses.dataclass(frozen=True)
class Constant(timing.Schedule):
    """Holds a constant sparsity from `begin` and updates masks until `end`.

    Args:
        sparsity: `float`, the fraction of zeros.
        begin, end: first and last update, in steps or epochs; by default,
            updates never stop.
        frequency: steps or epochs between updates.
    """

    sparsity: float
    begin: int | str = 0
    end: int | str | None = None
    frequency: int | str = 100

    def at(self, progress):
        return self.sparsity


@SCHEDULES.register("one_shot")
@dataclasses.dataclass(frozen=True)
class OneShot(timing.Schedule):
    """Prunes once, at `begin`, and keeps the masks from then on.

    Args:
        sparsity: `float`, the fraction of zeros.
        begin: the step or epoch of the update.
    """

    sparsity: float
    begin: int | str = 0

    @property
    def end(self):
        return self.begin

    @property
    def frequency(self):
        return 1

    def at(self, progress):
        return self.sparsity


@dataclasses.dataclass(frozen=True)
class _Ramp(timing.Schedule):
    """Goes from one sparsity to another between `begin` and `end`.

    Args:
        initial: `float`, the sparsity at `begin`.
        final: `float`, the sparsity from `end` on.
        begin, end: first and last update, in steps or epochs.
        frequency: steps or epochs between updates.
    """

    initial: float
    final: float
    begin: int | str
    end: int | str
    frequency: int | str = 100


@SCHEDULES.register("polynomial")
@dataclasses.dataclass(frozen=True)
class Polynomial(_Ramp):
    """Raises the sparsity along a polynomial.

    The sparsity is `final + (initial - final) * (1 - progress) ** power`. With
    power 3 this is gradual pruning: fast at first, slow at the end.

    Args:
        initial: `float`, the sparsity at `begin`.
        final: `float`, the sparsity from `end` on.
        begin, end: first and last update, in steps or epochs.
        frequency: steps or epochs between updates.
        power: `float`, the exponent.

    Example:

    >>> schedule = Polynomial(0.0, 0.8, begin=0, end=1000)
    >>> round(schedule(500), 4)
    0.7

    Reference:

    - Zhu and Gupta, "To prune, or not to prune", 2017,
      https://arxiv.org/abs/1710.01878
    """

    power: float = 3.0

    def __post_init__(self):
        if not 0 < self.power < math.inf:
            raise ValueError(
                "`power` must be a positive number. Received: "
                f"power={self.power!r}"
            )
        super().__post_init__()

    def at(self, progress):
        return self.final + (self.initial - self.final) * (
            (1 - progress) ** self.power
        )


@SCHEDULES.register("cosine")
@dataclasses.dataclass(frozen=True)
class Cosine(_Ramp):
    """Raises the sparsity along half a cosine: slow, fast, slow.

    Args:
        initial, final, begin, end, frequency: as in `Polynomial`.
    """

    def at(self, progress):
        remaining = (1 + math.cos(math.pi * progress)) / 2
        return self.final + (self.initial - self.final) * remaining


@SCHEDULES.register("exponential")
@dataclasses.dataclass(frozen=True)
class Exponential(_Ramp):
    """Lowers the density by the same factor at every step.

    From an initial sparsity of 1 there is no such factor: it stays 1 until
    `end`.

    Args:
        initial, final, begin, end, frequency: as in `Polynomial`.
    """

    def at(self, progress):
        return _density_decay(self.initial, self.final, progress)


@SCHEDULES.register("iterative")
@dataclasses.dataclass(frozen=True)
class Iterative(timing.Schedule):
    """Prunes in rounds, with training in between.

    Every round prunes the same fraction of the remaining weights; the last
    one reaches `final`. With `final = 1 - 0.8 ** rounds`, each round prunes
    20 %.

    Args:
        final: `float`, the sparsity after the last round.
        rounds: `int`, number of rounds.
        begin: the first round, in steps or epochs.
        frequency: steps or epochs from one round to the next.

    Reference:

    - Renda, Frankle and Carbin, "Comparing rewinding and fine-tuning in
      neural network pruning", 2020, https://arxiv.org/abs/2003.02389
    """

    final: float
    rounds: int
    begin: int | str = 0
    frequency: int | str = "1 epoch"

    def __post_init__(self):
        if not isinstance(self.rounds, numbers.Integral) or self.rounds < 1:
            raise ValueError(
                "`rounds` must be an int of at least 1. Received: "
                f"rounds={self.rounds!r}"
            )
        super().__post_init__()

    @property
    def end(self):
        """The step of the last round."""
        return self.begin + (self.rounds - 1) * self.frequency

    def at(self, progress):
        return _density_decay(0.0, self.final, progress)

    def __call__(self, step):
        done = self._updates_until(step)
        return self.at(done / self.rounds)


def _density_decay(initial, final, progress):
    # Not with the ratio of the two, by which no density comes out of zero.
    return 1 - (1 - initial) ** (1 - progress) * (1 - final) ** progress


@dataclasses.dataclass(frozen=True)
class Foreign(timing.Schedule):
    """Adapts another library's schedule: `foreign(step) -> (due, sparsity)`.

    Args:
        foreign: the callable, for instance a `tfmot` `PruningSchedule`. If it
            has `begin_step`, `end_step` (-1: no end) and `frequency`, they
            define when updates fall due, and `end_step` is always one of
            them. Otherwise it is queried for every step.
    """

    foreign: Callable

    @property
    def begin(self):
        return int(getattr(self.foreign, "begin_step", 0))

    @property
    def end(self):
        end = int(getattr(self.foreign, "end_step", -1))
        return None if end == -1 else end

    @property
    def frequency(self):
        return int(getattr(self.foreign, "frequency", 1))

    def __call__(self, step):
        return 0.0 if step < self.begin else float(self.foreign(step)[1])

    def highest(self, steps=()):
        due = (self(step) for step in steps if self.due(step, step - 1))
        return max([super().highest(), *due])

    def due(self, step, last=None):
        if hasattr(self.foreign, "frequency"):
            return super().due(step, last)
        start = 0 if last is None else last + 1
        return any(bool(self.foreign(s)[0]) for s in range(start, step + 1))


def get(spec):
    """Retrieves a schedule.

    Args:
        spec: a `Schedule`; its config (`records.serialize`); a fraction, which
            means `Constant`; or a callable `(step) -> (due, sparsity)`, such
            as a `tfmot.sparsity.keras.PruningSchedule`.

    Returns:
        A `Schedule`.
    """
    if isinstance(spec, numbers.Real) and not isinstance(spec, bool):
        return Constant(spec)
    if callable(spec) and not isinstance(spec, timing.Schedule):
        _check_foreign(spec)
        return Foreign(spec)
    return records.deserialize(spec, SCHEDULES)


def _check_foreign(foreign):
    answer = foreign(0)
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise ValueError(
            "A schedule from another library must return `(due, sparsity)` "
            f"for a step. Received: {foreign!r}, which returns {answer!r} "
            "for step 0. Use a `tfprune` schedule or return both."
        )
