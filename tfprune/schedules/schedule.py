"""Schedules: which sparsity at which optimizer step, and when it is due.

A schedule is a frozen record and a pure function of the step. Whoever prunes
asks two questions: `schedule.due(step, last)` (has an update fallen due since
the step of the last look?) and `schedule(step)` (how sparse?).
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
    """The same sparsity from `begin` on, masks renewed until `end`.

    Args:
        sparsity: `float`, the fraction of zeros.
        begin, end: first and last update, in steps or epochs; by default
            the masks are renewed as long as training goes on.
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
    """One update at `begin`; the masks stand from then on.

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
    """From one sparsity to another between `begin` and `end`.

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
    """`final + (initial - final) * (1 - progress) ** power`.

    With power 3 this is gradual pruning: fast while there is much to prune,
    slow at the end.

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

    def at(self, progress):
        return self.final + (self.initial - self.final) * (
            (1 - progress) ** self.power
        )


@SCHEDULES.register("cosine")
@dataclasses.dataclass(frozen=True)
class Cosine(_Ramp):
    """Half a cosine from `initial` to `final`: slow, fast, slow.

    Args:
        initial, final, begin, end, frequency: as in `Polynomial`.
    """

    def at(self, progress):
        remaining = (1 + math.cos(math.pi * progress)) / 2
        return self.final + (self.initial - self.final) * remaining


@SCHEDULES.register("exponential")
@dataclasses.dataclass(frozen=True)
class Exponential(_Ramp):
    """The density falls by the same factor with every step.

    Args:
        initial, final, begin, end, frequency: as in `Polynomial`.
    """

    def at(self, progress):
        return _density_decay(self.initial, self.final, progress)


@SCHEDULES.register("iterative")
@dataclasses.dataclass(frozen=True)
class Iterative(timing.Schedule):
    """Rounds of pruning with training in between.

    Every round prunes the same fraction of what the round before left; the
    last one reaches `final`. With `final = 1 - 0.8 ** rounds` each round
    prunes 20 %.

    Args:
        final: `float`, the sparsity after the last round.
        rounds: `int`, how many.
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
    if initial == 1:
        return 1.0
    return 1 - (1 - initial) * ((1 - final) / (1 - initial)) ** progress


@dataclasses.dataclass(frozen=True)
class Foreign(timing.Schedule):
    """A schedule of another library: `foreign(step) -> (due, sparsity)`.

    Args:
        foreign: the callable, a `tfmot` `PruningSchedule` for instance. Where
            it has `begin_step`, `end_step` (-1: no end) and `frequency`, as
            those have, they say when updates fall due (and `end_step` is
            always one of them); else every step since the last look is asked.
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

    def due(self, step, last=None):
        if hasattr(self.foreign, "frequency"):
            return super().due(step, last)
        start = 0 if last is None else last + 1
        return any(bool(self.foreign(s)[0]) for s in range(start, step + 1))


def get(spec):
    """The schedule that `spec` stands for.

    Args:
        spec: a `Schedule`; its config (`records.serialize`); a fraction, which
            means `Constant`; or a callable `(step) -> (due, sparsity)`, which
            is what `tfmot.sparsity.keras.PruningSchedule` objects are.

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
            "A schedule of another library must answer a step with `(due, "
            f"sparsity)`. Received: {foreign!r}, which answers step 0 with "
            f"{answer!r}. Use a `tfprune` schedule or return both."
        )
