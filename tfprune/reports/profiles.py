"""Records of what models cost, and how they are written down."""

import abc
import dataclasses
import json
import math
import typing

from tfprune.core import printed
from tfprune.core import tables
from tfprune.costs import counting
from tfprune.reports import micronet_score
from tfprune.reports import quantities
from tfprune.reports.html import page as page_lib

_PER_LAYER = ("params", "macs", "weight_bytes", "peak_bytes")


@dataclasses.dataclass(frozen=True)
class LayerProfile:
    """What one layer costs for one sample.

    Attributes:
        layer: `str`, path of the layer.
        op: `str`, its class name.
        output_shape: tuple without the batch axis.
        params: weights.
        macs: multiply-adds of all its calls.
        weight_bytes: bytes of its weights in the dtypes they have.
        peak_bytes: bytes of all activations that are alive while it runs.
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
        layer: `str`, path of the layer that made it.
        shape: tuple without the batch axis.
        bytes: `int`, of the buffer that holds it, which it may share.
    """

    layer: str
    shape: tuple[int | None, ...]
    bytes: int


@dataclasses.dataclass(frozen=True)
class Moment:
    """The arena of the int8 file while one layer runs, predicted.

    Attributes:
        running: `str`, path of the layer; `"nothing"` as the inputs arrive.
        bytes: `int`, up to the top of what is alive, with what the
            interpreter keeps for good.
        alive: tuple of `ArenaTensor`.
    """

    running: str
    bytes: int
    alive: tuple[ArenaTensor, ...]


@dataclasses.dataclass(frozen=True)
class Line:
    """One quantity of two models, or of one layer in two models.

    Attributes:
        name: `str`.
        before, after: `int`s, or floats that are fractions of 1, as an
            accuracy is, or MicroNet scores; `None` where there is none.
    """

    name: str
    before: typing.Any
    after: typing.Any

    @property
    def ratio(self):
        """`after / before`; `None` if there is no such number."""
        if self.after is None or not self.before:
            return None
        return self.after / self.before

    @property
    def left(self):
        """The ratio as text, or the difference of two fractions."""
        fractions = self.name not in quantities.SCORES and all(
            isinstance(side, float) for side in (self.before, self.after)
        )
        if fractions:
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
        """A `Line` of a quantity: the name of a field of `LayerProfile`."""
        sides = (self.before, self.after)
        return Line(quantity, *(p and getattr(p, quantity) for p in sides))


class Report(printed.Printed, abc.ABC):
    """What can be written as text, markdown and JSON.

    The tables list the layers that have weights or multiply-adds; JSON holds
    all of them.
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
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def to_html(self):
        """The report as a page that opens offline, `str`."""
        return self.page().to_html()

    @abc.abstractmethod
    def page(self):
        """The report as a `tfprune.reports.Page`, to add to or to write."""

    def _joined(self, parts):
        unknown = self.to_dict()["unknown"]
        if unknown:
            names = ", ".join(f"{k} ({v})" for k, v in unknown.items())
            parts.append(f"Multiply-adds not counted, no rule: {names}.\n")
        return "\n".join(parts)


@dataclasses.dataclass(frozen=True)
class Profile(Report):
    """What a model costs, in total and layer by layer.

    Attributes:
        name: `str`, the model's name.
        total: `costs.Cost`.
        micronet: `tfprune.reports.MicroNet`, at 32 bits.
        layers: tuple of `LayerProfile`, in the order of execution.
        accuracy: float in [0, 1]; `None` if no data were given.
        unknown: `dict` from the path of each layer or op without a rule to
            its class name; its multiply-adds are not counted.
        at_peak: tuple of `(layer, shape)`, the tensors that are alive where
            the arena of the int8 file is fullest, and who made them.
        running: `str`, the layer that runs then.
        timeline: tuple of `Moment`, the arena step by step.
        channels: tuple of `Strip`, the channels of each layer.
    """

    name: str
    total: counting.Cost
    micronet: micronet_score.MicroNet
    layers: tuple[LayerProfile, ...]
    accuracy: float | None
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
        if self.accuracy is not None:
            totals["accuracy"] = self.accuracy
        return totals

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
        before, after: `Profile`s.
        extra: tuple of further `Line`s: the bytes of files, for example.
        channels: tuple of `Strip`, the channels of `before` and which of
            them `after` has; empty where one does not come from the other.
    """

    before: Profile
    after: Profile
    extra: tuple[Line, ...] = ()
    channels: tuple = ()

    def with_line(self, name, before, after):
        """A copy of this report with one more line of totals; see `Line`."""
        line = Line(name, before, after)
        return dataclasses.replace(self, extra=(*self.extra, line))

    @property
    def totals(self):
        """`dict` from the name of each quantity to its `Line`."""
        before, after = self.before.totals, self.after.totals
        lines = [Line(k, before.get(k), after.get(k)) for k in before | after]
        return {line.name: line for line in (*lines, *self.extra)}

    @property
    def layers(self):
        """Tuple of `LayerChange`: the layers of `before`, then new ones."""
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
                "%" if isinstance(line.after, float) else "",
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
    """A column for each model, a row for each quantity.

    Args:
        models: `dict` from the name of a model to a `dict` from quantities
            ("macs", "accuracy", "arena_bytes") to values: `int`s, or floats
            that are fractions of 1.

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


def _text(name, value):
    if name in quantities.SCORES and value is not None:
        return f"{value:.4f}"
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
