"""The progress display: stage, epoch, metric, budget, time left."""

import contextlib

from absl import logging

from tfprune.core import progress_bar
from tfprune.core import tables
from tfprune.pipeline.result import measured


class Progress:
    """A table that is redrawn in place, and lines in the log.

    Args:
        shown: `bool`, whether to show the table.
        clock: a `Clock`.
        monitor: `str`, the metric.
        ceilings: `dict` from limits to numbers.
    """

    def __init__(self, shown, clock, monitor, ceilings):
        self._shown, self._clock, self._monitor = shown, clock, monitor
        self._ceilings = ceilings
        self._facts, self._best = {"stage": "baseline"}, None
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        self._show = self._stack.enter_context(progress_bar.live(self._shown))
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    def tell(self, stage, epoch=None, epochs=None, value=None, **answer):
        """Shows the state of the run.

        Args:
            stage: `str`, the name of the stage.
            epoch, epochs: `int`, steps done and in total.
            value: `float`, the current metric.
            **answer: `numbers` and `fits` of a network that was measured.
        """
        self._facts = {"stage": stage}
        if epoch is not None:
            self._facts["done"] = f"{epoch} of {epochs}"
        if value is not None:
            self._facts[self._monitor] = f"{value:.4f}"
        if answer:
            self._best = self._described(value, **answer)
        if self._best:
            self._facts["latest answer"] = self._best
        for name, ceiling in self._ceilings.items():
            digits = 0 if isinstance(ceiling, int) else 1
            self._facts[f"at most, {name}"] = f"{ceiling:,.{digits}f}"
        if self._clock.limit is not None:
            seconds = max(0.0, self._clock.limit - self._clock.spent)
            self._facts["time left"] = f"{seconds / 60:.1f} min"
        logging.info(
            "%s", "; ".join(f"{k} {v}" for k, v in self._facts.items())
        )
        rows = tuple(self._facts.items())
        title = "compress (Ctrl-C to stop)"
        if self._clock.stopped:
            title = "compress, stopping (Ctrl-C again: at once)"
        table = tables.Table(("", title), rows, left=2)
        self._show(table.to_text())

    def _described(self, value, numbers, fits):
        shown = [f"{self._monitor} {value:.4f}"]
        for name in (measured.FLASH, measured.ARENA_NEEDED, "MACs"):
            if name in numbers:
                shown.append(f"{name} {numbers[name]:,}")
        shown.append("fits" if fits else "too large")
        return ", ".join(shown)
