"""The names of what reports count: one for each thing."""

import dataclasses
import numbers
import re

from tfprune.core import tables
from tfprune.datasets import tally

# A file's bytes and an arena's depend on how numbers are stored, and are
# predicted or measured: each name says which.
WORDS = {
    "params": "parameters",
    "macs": "MACs",
    "channels": "removable channels",
    "weight_bytes": "weight bytes",
    "peak_bytes": "peak activation bytes",
    "flash_bytes": "int8 flash bytes, predicted",
    "ram_bytes": "int8 arena bytes, predicted",
    "image_bytes": "int8 flash and code bytes, predicted",
    "float32_file_bytes": "float32 file bytes",
    "float32_arena_bytes": "float32 arena bytes, measured",
    "int8_flash_bytes": "int8 flash bytes, measured",
    "int8_arena_bytes": "int8 arena bytes, measured",
    "score_2019": "MicroNet score (2019)",
    "score_2025": "MicroNet score (2025)",
}
SCORES = ("score_2019", "score_2025")


def is_absolute(name):
    """Whether a `float` is no fraction of 1: a MicroNet score, an error."""
    return name in SCORES or name.startswith(tally.ERROR)


def absolute(name, value):
    """Such a number as text, `str`."""
    return f"{value:.4f}" if name in SCORES else f"{value:.4g}"


def is_accuracy(name):
    """Whether a quantity is the accuracy of an output."""
    return name.partition(",")[0] == tally.ACCURACY


def word(name):
    """What a quantity is called in a report."""
    return WORDS.get(name, name)


@dataclasses.dataclass(frozen=True)
class Quantity:
    """One number of the network before and after.

    Attributes:
        name: `str`, a key of `WORDS`, or any other name; a page has each
            name once.
        before, after: numbers; `None` where there is none.
        unit: `str`: "%" for a fraction of 1, else what stands after the
            number: "bytes", "ms", or nothing.
        limit: number, how much `after` may be; `None` for no limit.
        larger_is_better: `bool`; the limit is then the least.
        note: `str`, how or on what it was measured.

    Example:

    >>> Quantity("int8_flash_bytes", 76_000, 21_184, limit=32_768).fits
    True
    """

    name: str
    before: object = None
    after: object = None
    unit: str = ""
    limit: object = None
    larger_is_better: bool = False
    note: str = ""

    @property
    def label(self):
        """The name in words, `str`."""
        return word(self.name)

    @property
    def now(self):
        """`after`; `before` where there is but one network."""
        return self.before if self.after is None else self.after

    @property
    def fits(self):
        """Whether the limit is kept; `None` without one."""
        if self.limit is None or self.now is None:
            return None
        if self.larger_is_better:
            return self.now >= self.limit
        return self.now <= self.limit

    @property
    def change(self):
        """The change as text: of fractions in points, else in percent."""
        if self.before is None or self.after is None:
            return ""
        if self.unit == "%":
            return f"{100 * (self.after - self.before):+.2f} points"
        if not self.before:
            return ""
        return f"{100 * (self.after / self.before - 1):+.1f} %"

    def text(self, value):
        """A value of this quantity with its unit, `str`."""
        if value is None:
            return "-"
        if self.unit == "%":
            return tables.percent(value, 2)
        if isinstance(value, numbers.Integral):
            number = tables.number(value)
        else:
            number = f"{value:,.4g}"
        # What is in the name need not be said again.
        unit = "" if self.unit in re.findall(r"\w+", self.label) else self.unit
        return f"{number} {unit}".rstrip()
