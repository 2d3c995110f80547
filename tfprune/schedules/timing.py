"""When updates fall due: steps, epochs, and the base of the schedules.

"Due since the last look", rather than a test for equality or divisibility,
because steps are skipped where several are run in one call
(`steps_per_execution`).
"""

import dataclasses
import math
import numbers
import re

from tfprune.core import records

_EPOCHS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*epochs?\s*")


def _duration(name, value):
    """Checks a duration; returns it in steps or as epochs, unresolved."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        if value >= 0:
            return int(value)
    elif isinstance(value, str) and _EPOCHS.fullmatch(value):
        return value
    raise ValueError(
        f"`{name}` must be a number of optimizer steps (an int >= 0) or of "
        f'epochs ("2 epochs"). Received: {name}={value!r}'
    )


def _in_steps(value, steps_per_epoch):
    if not isinstance(value, str):
        return value
    epochs = float(_EPOCHS.fullmatch(value).group(1))
    return round(epochs * steps_per_epoch)


def _sparsity(name, value):
    if isinstance(value, numbers.Real) and 0 <= value <= 1:
        return float(value)
    raise ValueError(
        f"`{name}` must be a fraction between 0 (dense) and 1. "
        f"Received: {name}={value!r}"
    )


class Schedule(records.Record):
    """Base of the schedules.

    A subclass is a frozen dataclass that has `begin`, `end` and `frequency`,
    each in optimizer steps or in epochs (`"2 epochs"`), and the method
    `at(progress)`. Updates fall due at `begin`, then every `frequency` steps,
    and at `end`, which is the last one; `end=None`: they never stop.
    """

    def __post_init__(self):
        for name, value in self.get_config().items():
            if name in _CHECKS:
                object.__setattr__(self, name, _CHECKS[name](name, value))
        if self.is_resolved:
            self._check_steps()

    def _check_steps(self):
        if self.end is not None and self.end < self.begin:
            raise ValueError(
                "`end` must not come before `begin`. Received: "
                f"begin={self.begin!r}, end={self.end!r}"
            )
        if self.frequency < 1:
            raise ValueError(
                "`frequency` must be at least one step. Received: "
                f"frequency={self.frequency!r}"
            )

    def _durations(self):
        config = self.get_config()
        return {name: config[name] for name in _DURATIONS if name in config}

    @property
    def is_resolved(self):
        """Whether all durations are in steps."""
        return not any(isinstance(v, str) for v in self._durations().values())

    def resolved(self, steps_per_epoch):
        """The same schedule with all durations in optimizer steps.

        Args:
            steps_per_epoch: number of optimizer steps in an epoch; with
                gradient accumulation it may be a fraction.
        """
        if self.is_resolved:
            return self
        if not steps_per_epoch or steps_per_epoch < 1:
            raise ValueError(
                "A schedule in epochs needs the number of optimizer steps in "
                f"an epoch. Received: steps_per_epoch={steps_per_epoch!r}. "
                "Give `fit` a `steps_per_epoch` or the schedule its durations "
                "in steps."
            )
        durations = {
            name: _in_steps(value, steps_per_epoch)
            for name, value in self._durations().items()
        }
        return dataclasses.replace(self, **durations)

    def at(self, progress):
        """The sparsity at a `progress` from 0 (`begin`) to 1 (`end`)."""
        raise NotImplementedError

    def __call__(self, step):
        """The sparsity that holds at an optimizer step; 0 before `begin`."""
        self._require_resolved()
        if step < self.begin:
            return 0.0
        if self.end is None:
            return self.at(0.0)
        if step >= self.end:
            return self.at(1.0)
        return self.at((step - self.begin) / (self.end - self.begin))

    def highest(self):
        """The highest sparsity that the schedule will ask for."""
        last = self.begin if self.end is None else self.end
        return max(self(self.begin), self(last))

    def due(self, step, last=None):
        """Whether an update fell due after step `last`, up to step `step`.

        Args:
            step: `int`, the optimizer step now.
            last: `int`, the step of the last look; `None`: never looked.
        """
        before = 0 if last is None else self._updates_until(last)
        return self._updates_until(step) > before

    def next_due(self, step):
        """The first step after `step` at which an update falls due.

        Returns:
            `int`, or `None` where there is none.
        """
        due = self.begin + self._updates_until(step) * self.frequency
        if self.end is None:
            return due
        return min(due, self.end) if step < self.end else None

    def _updates_until(self, step):
        """The number of updates that fall due at `step` or before."""
        self._require_resolved()
        if step < self.begin:
            return 0
        if self.end is not None and step >= self.end:
            return math.ceil((self.end - self.begin) / self.frequency) + 1
        return (step - self.begin) // self.frequency + 1

    def _require_resolved(self):
        if not self.is_resolved:
            raise ValueError(
                "A schedule in epochs must be resolved before it is asked. "
                f"Received: {self}. Call `schedule.resolved(steps_per_epoch)`."
            )


_DURATIONS = ("begin", "end", "frequency")
_CHECKS = {
    "begin": _duration,
    "end": lambda name, v: None if v is None else _duration(name, v),
    "frequency": _duration,
    "initial": _sparsity,
    "final": _sparsity,
    "sparsity": _sparsity,
}
