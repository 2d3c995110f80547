"""Profiles of models and comparisons of two, as text, markdown and JSON."""

import abc
import dataclasses
import math
import typing

import numpy as np

from tfprune.core import printed
from tfprune.core import tables
from tfprune.core.files import json_text
from tfprune.costs import counting
from tfprune.datasets import tally
from tfprune.reports import micronet_score
from tfprune.reports import quantities
from tfprune.reports.html import page as page_lib

_PER_LAYER = ("params", "macs", "weight_bytes", "peak_bytes")


@dataclasses.dataclass(frozen=True)
class LayerProfile:
    """The costs of one layer for one sample.

    Attributes:
        layer: `str`, the path of the layer.
        op: `str`, its class name.
        output_shape: tuple without the batch axis.
        params: `int`, the number of its weights.
        macs: `int`, multiply-adds of all its calls.
        weight_bytes: `int`, bytes of its weights in their own dtypes.
        peak_bytes: `int`, bytes of all activations alive while it runs.
    """

    layer: str
    op: str
    output_shape: tuple[int | None, ...]
    params: int
    macs: int
    weight_bytes: int
    peak_bytes: int


@dataclasses.dataclass(frozen=True)
class ArenaTensor:
    """A tensor in the arena of the int8 file.

    Attributes:
        layer: `str`, the path of the layer that computes it.
        shape: tuple without the batch axis.
        bytes: `int`, the size of its buffer, which it may share.
    """

    layer: str
    shape: tuple[int | None, ...]
    bytes: int


@dataclasses.dataclass(frozen=True)
class Moment:
    """The predicted arena of the int8 file while one layer runs.

    Attributes:
        running: `str`, the path of the layer; `"nothing"` before the first.
        bytes: `int`, the arena in use: up to the highest live tensor, plus the
            interpreter's persistent records.
        alive: tuple of `ArenaTensor`.
    """

    running: str
    bytes: int
    alive: tuple[ArenaTensor, ...]

    @property
    def fullness(self):
        """Largest at the peak: where gaps lie below, more live bytes count."""
        return self.bytes, sum(tensor.bytes for tensor in self.alive)


@dataclasses.dataclass(frozen=True)
class Line:
    """One quantity of two models, or of one layer in two models.

    Attributes:
        name: `str`.
        before, after: `int`, or `float` for a fraction of 1 (an accuracy), a
            MicroNet score or an error; `None` if there is no value.
    """

    name: str
    before: typing.Any
    after: typing.Any

    @property
    def ratio(self):
        """`after / before`; `None` if a value is missing or `before` is 0."""
        if self.after is None or not self.before:
            return None
        return self.after / self.before

    @property
    def left(self):
        """The ratio in percent, or the difference of fractions in points."""
        sides = (self.before, self.after)
        fractions = all(isinstance(side, float) for side in sides)
        if fractions and not quantities.is_absolute(self.name):
            return f"{100 * (self.after - self.before):+.2f} points"
        return tables.percent(self.ratio)


@dataclasses.dataclass(frozen=True)
class LayerChange:
    """A layer in two models.

    Attributes:
        layer: `str`, path of the layer.
        before, after: `LayerProfile`; `None` if the model lacks the layer.
    """

    layer: str
    before: LayerProfile | None
    after: LayerProfile | None

    def line(self, quantity):
        """The `Line` of a quantity, a field of `LayerProfile`."""
        sides = (self.before, self.after)
        return Line(quantity, *(p and getattr(p, quantity) for p in sides))


class Report(printed.Printed, abc.ABC):
    """A result that can be written as text, markdown, JSON and HTML.

    Tables list only layers with weights or multiply-adds; JSON lists all.
    """

    @abc.abstractmethod
    def tables(self):
        """A list of `tables.Table`: the totals, then the layers."""

    @abc.abstractmethod
    def to_dict(self):
        """The report as plain data."""

    def __str__(self):
        return self.to_text()

    def to_text(self):
        """The report for a terminal, `str`."""
        return self._joined([table.to_text() for table in self.tables()])

    def to_markdown(self):
        """The report as markdown, `str`."""
        return self._joined([table.to_markdown() for table in self.tables()])

    def to_json(self):
        """The report as JSON, `str`."""
        return json_text.written(self.to_dict())

    def to_html(self):
        """The report as a self-contained HTML page, `str`."""
        return self.page().to_html()

    @abc.abstractmethod
    def page(self):
        """The report as a `tfprune.reports.Page`, to extend or to write."""

    def _joined(self, parts):
        unknown = self.to_dict()["unknown"]
        if unknown:
            names = ", ".join(f"{k} ({v})" for k, v in unknown.items())
            parts.append(
                "Multiply-adds of layers without a rule are not counted: "
                f"{names}.\n"
            )
        return "\n".join(parts)


@dataclasses.dataclass(frozen=True)
class Profile(Report):
    """The costs of a model, in total and layer by layer.

    Attributes:
        name: `str`, the model's name.
        total: `costs.Cost`.
        micronet: `tfprune.reports.MicroNet`, at 32 bits.
        layers: tuple of `LayerProfile`, in the order of execution.
        qualities: `dict` from "accuracy", a fraction of 1, or "mean absolute
            error", and the output if there are several, to `float`s; empty if
            there were no data.
        unknown: `dict` from the path of each layer or op without a rule to
            its class name; its multiply-adds are not counted.
        at_peak: tuple of `(layer, shape)`, the live tensors at the peak of the
            int8 file's arena, and the layers that compute them.
        running: `str`, the layer that runs at the peak.
        timeline: tuple of `Moment`, the arena step by step.
        channels: tuple of `Strip`, the channels of each layer.
    """

    name: str
    total: counting.Cost
    micronet: micronet_score.MicroNet
    layers: tuple[LayerProfile, ...]
    qualities: dict[str, float]
    unknown: dict[str, str]
    at_peak: tuple = ()
    running: str = ""
    timeline: tuple[Moment, ...] = ()
    channels: tuple = ()

    @property
    def totals(self):
        """`dict` from the name of each quantity to its value."""
        totals = dataclasses.asdict(self.total)
        totals |= {
            name: getattr(self.micronet, name) for name in quantities.SCORES
        }
        return totals | self.qualities

    @property
    def accuracy(self):
        """`float` in [0, 1] of a classifier; `None` if it was not measured."""
        return self.qualities.get(tally.ACCURACY)

    def tables(self):
        totals = [
            (quantities.word(k), _text(k, v)) for k, v in self.totals.items()
        ]
        layers = [
            (
                row.layer,
                row.op,
                tables.shape(row.output_shape),
                *(
                    tables.cell(getattr(row, quantity))
                    for quantity in _PER_LAYER
                ),
            )
            for row in self.layers
            if row.params or row.macs
        ]
        header = ("layer", "class", "output", *map(quantities.word, _PER_LAYER))
        alive = [
            (layer, tables.shape(shape), tables.cell(math.prod(shape)))
            for layer, shape in self.at_peak
        ]
        peak = (f"alive while {self.running} runs, RAM at its peak", "shape")
        return [
            tables.Table((self.name, "total"), tuple(totals)),
            tables.Table(header, tuple(layers), left=3),
            tables.Table((*peak, "values"), tuple(alive), left=2),
        ]

    def page(self):
        return page_lib.Page(self)

    def to_dict(self):
        return {
            "model": self.name,
            "totals": self.totals,
            "layers": [dataclasses.asdict(row) for row in self.layers],
            "at_peak": {"running": self.running, "alive": self.at_peak},
            "unknown": self.unknown,
        }


@dataclasses.dataclass(frozen=True)
class Comparison(Report):
    """Two models side by side.

    Attributes:
        before, after: `Profile`.
        extra: tuple of `Line`, further quantities such as bytes of files.
        channels: tuple of `Strip`, the channels of `before` and which of
            them `after` keeps; empty if `after` was not made from `before`.
    """

    before: Profile
    after: Profile
    extra: tuple[Line, ...] = ()
    channels: tuple = ()

    def with_line(self, name, before, after):
        """Returns a copy of this report with a further `Line` of totals."""
        sides = (
            side.item() if isinstance(side, np.generic) else side
            for side in (before, after)
        )
        line = Line(name, *sides)
        return dataclasses.replace(self, extra=(*self.extra, line))

    @property
    def totals(self):
        """`dict` from the name of each quantity to its `Line`."""
        before, after = self.before.totals, self.after.totals
        lines = [Line(k, before.get(k), after.get(k)) for k in before | after]
        return {line.name: line for line in (*lines, *self.extra)}

    @property
    def layers(self):
        """Tuple of `LayerChange`: layers of `before`, then new ones."""
        before = {row.layer: row for row in self.before.layers}
        after = {row.layer: row for row in self.after.layers}
        return tuple(
            LayerChange(path, before.get(path), after.get(path))
            for path in before | after
        )

    def tables(self):
        totals = [
            (
                quantities.word(line.name),
                _text(line.name, line.before),
                _text(line.name, line.after),
                line.left,
            )
            for line in self.totals.values()
        ]
        names = tables.change(self.before.name, self.after.name)
        header = (names, "before", "after", "left")
        layers = [_row(change) for change in self.layers if _weighs(change)]
        columns = [quantities.word(quantity) for quantity in _PER_LAYER]
        columns.insert(2, "MACs left")
        return [
            tables.Table(header, tuple(totals)),
            tables.Table(("layer", "output", *columns), tuple(layers), left=2),
        ]

    def page(self):
        measured = tuple(
            quantities.Quantity(
                line.name,
                line.before,
                line.after,
                _unit(line),
            )
            for line in self.extra
        )
        return page_lib.Page(
            self.before,
            self.after,
            measured=measured,
            channels=self.channels,
        )

    def to_dict(self):
        return {
            "before": self.before.name,
            "after": self.after.name,
            "totals": {k: _plain(line) for k, line in self.totals.items()},
            "layers": [_plain_change(change) for change in self.layers],
            "unknown": self.before.unknown | self.after.unknown,
        }


def side_by_side(models):
    """A table of models, one column for each model, one row per quantity.

    Args:
        models: `dict` from the name of a model to a `dict` from quantities
            ("macs", "accuracy", "arena_bytes") to values: `int`, or `float`
            for fractions of 1.

    Returns:
        A `tables.Table`.
    """
    names = dict.fromkeys(q for column in models.values() for q in column)
    rows = (
        (
            quantities.word(q),
            *(_text(q, column.get(q)) for column in models.values()),
        )
        for q in names
    )
    return tables.Table(("", *models), tuple(rows))


def _weighs(change):
    sides = (change.before, change.after)
    return any(side and (side.params or side.macs) for side in sides)


def _row(change):
    shapes = [
        tables.shape(side.output_shape) if side else "-"
        for side in (change.before, change.after)
    ]
    lines = [change.line(quantity) for quantity in _PER_LAYER]
    cells = [
        tables.change(tables.cell(line.before), tables.cell(line.after))
        for line in lines
    ]
    cells.insert(2, lines[1].left)
    return (change.layer, tables.change(*shapes), *cells)


def _unit(line):
    """The unit of a `Quantity` with the numbers of a line."""
    floats = any(isinstance(v, float) for v in (line.before, line.after))
    return "%" if floats and not quantities.is_absolute(line.name) else ""


def _text(name, value):
    if quantities.is_absolute(name) and value is not None:
        return quantities.absolute(name, value)
    return tables.cell(value)


def _plain(line):
    return {"before": line.before, "after": line.after, "ratio": line.ratio}


def _plain_change(change):
    sides = {"before": change.before, "after": change.after}
    return {
        "layer": change.layer,
        "op": (change.before or change.after).op,
        "output_shape": {
            name: side and side.output_shape for name, side in sides.items()
        },
        **{quantity: _plain(change.line(quantity)) for quantity in _PER_LAYER},
    }
