"""When updates fall due: steps, epochs, and the base class of schedules.

An update is "due since the last check". A test for equality or divisibility
would miss updates, because `steps_per_execution` runs several steps in one
call.
"""

import dataclasses
import math
import numbers
import re
import typing

from tfprune.core import records

_EPOCHS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*epochs?\s*")


def _duration(name, value):
    """Checks a duration; returns it in steps, or in epochs if unresolved."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        if value >= 0:
            return int(value)
    elif isinstance(value, str) and _EPOCHS.fullmatch(value):
        return value
    raise ValueError(
        f"`{name}` must be a number of optimizer steps (an int >= 0) or of "
        f'epochs ("2 epochs"). Received: {name}={value!r}'
    )


def _epochs(value):
    return float(_EPOCHS.fullmatch(value).group(1))


def _in_steps(name, value, steps_per_epoch):
    if not isinstance(value, str):
        return value
    epochs = _epochs(value)
    steps = round(epochs * steps_per_epoch)
    if name == "frequency":
        return steps
    # A step whose gradients accumulate beyond the epoch comes too late.
    return min(steps, math.floor(math.ceil(epochs) * steps_per_epoch + 1e-6))


def sparsity(name, value):
    """Checks a sparsity; returns it as a `float`.

    Args:
        name: `str`, what the error calls it.
        value: a number of any library.

    Raises:
        ValueError: If it is no fraction.
    """
    one = not tuple(getattr(value, "shape", ()))
    if one and isinstance(value, typing.SupportsFloat) and 0 <= value <= 1:
        return float(value)
    raise ValueError(
        f"`{name}` must be a fraction between 0 (dense) and 1. "
        f"Received: {name}={value!r}"
    )


class Schedule(records.Record):
    """Base class of schedules.

    A subclass is a frozen dataclass with the fields `begin`, `end` and
    `frequency`, each in optimizer steps or in epochs (`"2 epochs"`), and the
    method `at(progress)`. Updates fall due at `begin`, then every `frequency`
    steps, and last at `end`; with `end=None` they never stop.
    """

    def __post_init__(self):
        for name, value in self.get_config().items():
            if name in _CHECKS:
                object.__setattr__(self, name, _CHECKS[name](name, value))
        if self.is_resolved:
            self._check_steps()
        else:
            self._check_epochs()

    def _check_epochs(self):
        """Checks the order before training, if it is the same for all data."""
        found = self._durations()
        ends = found["begin"], found.get("end")
        if all(isinstance(value, str) for value in ends):
            begin, end = map(_epochs, ends)
            if end < begin:
                raise self._no_order()

    def _no_order(self):
        return ValueError(
            "`end` must not come before `begin`. Received: "
            f"begin={self.begin!r}, end={self.end!r}"
        )

    def _check_steps(self):
        if self.end is not None and self.end < self.begin:
            raise self._no_order()
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
        """Returns whether all durations are in steps."""
        return not any(isinstance(v, str) for v in self._durations().values())

    def resolved(self, steps_per_epoch):
        """Returns this schedule with all durations in optimizer steps.

        Args:
            steps_per_epoch: number of optimizer steps in an epoch; may be
                fractional with gradient accumulation.
        """
        if self.is_resolved:
            return self
        if not steps_per_epoch or steps_per_epoch < 1:
            raise ValueError(
                "A schedule in epochs needs the number of optimizer steps in "
                f"an epoch. Received: steps_per_epoch={steps_per_epoch!r}. "
                "Pass `steps_per_epoch` to `fit`, or give the schedule its "
                "durations in steps."
            )
        durations = {
            name: _in_steps(name, value, steps_per_epoch)
            for name, value in self._durations().items()
        }
        return dataclasses.replace(self, **durations)

    def at(self, progress):
        """Returns the sparsity at `progress`, from 0 (begin) to 1 (end)."""
        raise NotImplementedError

    def __call__(self, step):
        """Returns the sparsity at an optimizer step; 0 before `begin`."""
        self._require_resolved()
        if step < self.begin:
            return 0.0
        if self.end is None:
            return self.at(0.0)
        if step >= self.end:
            return self.at(1.0)
        return self.at((step - self.begin) / (self.end - self.begin))

    def highest(self, steps=()):
        """Returns the highest sparsity of the schedule.

        Args:
            steps: iterable of `int`, the steps of a training, at which a
                schedule of another library is asked for its sparsity, too.
        """
        del steps
        last = self.begin if self.end is None else self.end
        return max(self(self.begin), self(last))

    def due(self, step, last=None):
        """Returns whether an update fell due after `last`, up to `step`.

        Args:
            step: `int`, the current optimizer step.
            last: `int`, the step of the last check; `None` if there was none.
        """
        before = 0 if last is None else self._updates_until(last)
        return self._updates_until(step) > before

    def next_due(self, step):
        """Returns the first step after `step` at which an update falls due.

        Returns:
            `int`, or `None` if there is none.
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
                "A schedule in epochs must be resolved before it is used. "
                f"Received: {self}. Call `schedule.resolved(steps_per_epoch)`."
            )


_DURATIONS = ("begin", "end", "frequency")
_CHECKS = {
    "begin": _duration,
    "end": lambda name, v: None if v is None else _duration(name, v),
    "frequency": _duration,
    "initial": sparsity,
    "final": sparsity,
    "sparsity": sparsity,
}
