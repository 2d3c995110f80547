"""Small charts as SVG: axes, lines, and marks with tooltips.

A panel is as wide as a phone's screen, so that its text is never scaled down
until it is unreadable; a page places several side by side. Colours are classes
of the page's style sheet, which has a light and a dark mode.
"""

import dataclasses
import itertools
import math

from tfprune.reports.html import legends
from tfprune.reports.html import markup

SIZE = 340, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 12, 18, 36
_LETTER = 6.2  # Average width of a letter in pixels.
_COLORS = 6
_MOST_BANDS = 160
_EXACT = 11  # Digits of ticks, which are round: fewer are written.


@dataclasses.dataclass(frozen=True)
class Series:
    """A line.

    Attributes:
        name: `str`.
        points: tuple of `(x, y)`.
        style: `str`, classes of the style sheet; see `styles`.
    """

    name: str
    points: tuple
    style: str


def styles(count):
    """Classes of `count` lines that differ in colour, then in dashes."""
    return [f"c{i % _COLORS} d{i // _COLORS % 4}" for i in range(count)]


class Panel:
    """A chart to draw on.

    Args:
        title: `str`, shown above.
        x, y: `(low, high)`, the range of each axis.
        x_label, y_label: `str`.
        log_x: `bool`, whether the x axis is logarithmic.
        size: `(width, height)` in pixels.
    """

    def __init__(self, title, x, y, x_label, y_label, log_x=False, size=SIZE):
        self.title = title
        self._width, self._height = size
        self._right, self._base = size[0] - _RIGHT, size[1] - _BOTTOM
        self._labels = x_label, y_label
        self._log_x = log_x and x[0] > 0
        self._x = _Axis(x, _LEFT, self._right, self._log_x)
        self._y = _Axis(y, self._base, _TOP, False)
        self._drawn, self._names = [], []
        self._taken = []  # Boxes that names must not cover.

    def line(self, points, style, steps=False):
        """Draws a line through points, or a step function."""
        pairs = [(self._x(a), self._y(b)) for a, b in points if _finite(b)]
        if not pairs:
            return
        if steps:
            pairs = [
                corner
                for (x, y), (to, _) in itertools.pairwise(
                    [*pairs, (self._right, 0)]
                )
                for corner in ((x, y), (to, y))
            ]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in pairs)
        self._drawn.append(
            markup.tag("path", d=path, class_=f"line {style}", fill="none")
        )

    def level(self, value, text, style="level"):
        """Draws a horizontal line, with a name if there is one."""
        if not _finite(value):
            return  # A browser would draw it at the top.
        y = self._y(value)
        self._drawn.append(
            markup.tag(
                "line", x1=_LEFT, x2=self._right, y1=y, y2=y, class_=style
            )
        )
        if text:
            above = y > _TOP + 14
            self._drawn.append(
                markup.tag(
                    "text",
                    text,
                    x=self._right - 2,
                    y=y - 3 if above else y + 11,
                    class_="tick end",
                )
            )

    def divide(self, value, text, drawn=True):
        """Draws a vertical line with a name above it, or only the name."""
        x = self._x(value)
        if drawn:
            self._drawn.append(
                markup.tag(
                    "line", x1=x, x2=x, y1=_TOP, y2=self._base, class_="level"
                )
            )
        self._drawn.append(
            markup.tag("text", text, x=x, y=_TOP - 6, class_="tick")
        )

    def dot(self, x, y, style, told, name=""):
        """Draws a dot with a tooltip and, where there is room, a name."""
        if not _finite(x) or not _finite(y):
            return
        cx, cy = self._x(x), self._y(y)
        self._taken.append((cx - 5, cx + 5, cy - 5, cy + 5))
        if name:
            self._names.append((name, cx, cy))
        self._drawn.append(
            markup.tag(
                "g",
                markup.tag("title", told),
                markup.tag("circle", cx=cx, cy=cy, r=11, class_="reach"),
                markup.tag("circle", cx=cx, cy=cy, r=4.5, class_=style),
                class_="mark",
            )
        )

    def bars(self, edges, heights, style):
        """Draws bars of `heights[i]` between `edges[i]` and `edges[i + 1]`."""
        base = self._y(0)
        for (a, b), height in zip(
            itertools.pairwise(edges), heights, strict=True
        ):
            x, top = self._x(a), self._y(height)
            if height:
                self._drawn.append(
                    markup.tag(
                        "rect",
                        x=x,
                        y=top,
                        width=max(self._x(b) - x - 0.5, 0.5),
                        height=base - top,
                        class_=style,
                    )
                )

    def bands(self, told):
        """Adds regions with tooltips over the whole height.

        Args:
            told: list of `(x, text)` with ascending x; a region extends half
                way to its neighbours.
        """
        told = told[:: -(-len(told) // _MOST_BANDS)] if told else []
        places = [self._x(x) for x, _ in told]
        middles = [(a + b) / 2 for a, b in itertools.pairwise(places)]
        starts = [_LEFT, *middles]
        ends = [*middles, self._right]
        for (_, text), x, start, end in zip(
            told, places, starts, ends, strict=True
        ):
            self._drawn.append(
                markup.tag(
                    "g",
                    markup.tag("title", text),
                    markup.tag(
                        "rect",
                        x=start,
                        y=_TOP,
                        width=max(end - start, 0.1),
                        height=self._base - _TOP,
                        class_="reach",
                    ),
                    markup.tag(
                        "line",
                        x1=x,
                        x2=x,
                        y1=_TOP,
                        y2=self._base,
                        class_="ruler",
                    ),
                    class_="mark",
                )
            )

    def figure(self, description, legend=()):
        """The panel as an element of a page.

        Args:
            description: `str`, what the chart shows, for screen readers.
            legend: list of `(name, style)`.
        """
        x_label, y_label = self._labels
        drawing = markup.tag(
            "svg",
            markup.tag("title", self.title),
            markup.tag("desc", description),
            self._axes(),
            self._drawn,
            list(self._named()),
            markup.tag(
                "text",
                x_label,
                x=(self._right + _LEFT) / 2,
                y=self._height - 4,
                class_="tick middle",
            ),
            viewBox=f"0 0 {self._width} {self._height}",
            role="img",
            tabindex=0,
            class_="chart",
        )
        return markup.tag(
            "figure",
            markup.tag(
                "figcaption",
                markup.tag("b", self.title),
                markup.tag("span", y_label, class_="soft"),
            ),
            drawing,
            legends.lines(legend),
            class_="panel",
        )

    def _named(self):
        """The names next to their dots, where there is room for them."""
        for name, x, y in self._names:
            width = _LETTER * len(name)
            for left, low in (
                (x + 8, y),
                (x - width / 2, y - 13),
                (x - width / 2, y + 14),
                (x - 8 - width, y),
            ):
                box = (left, left + width, low - 6, low + 6)
                inside = left > _LEFT and left + width < self._width
                if inside and not any(_overlap(box, b) for b in self._taken):
                    self._taken.append(box)
                    yield markup.tag(
                        "text", name, x=left, y=low + 4, class_="tick"
                    )
                    break

    def _axes(self):
        parts = []
        for value in self._y.ticks(4):
            y = self._y(value)
            parts += [
                markup.tag(
                    "line",
                    x1=_LEFT,
                    x2=self._right,
                    y1=y,
                    y2=y,
                    class_="grid",
                ),
                markup.tag(
                    "text",
                    short(value, _EXACT),
                    x=_LEFT - 6,
                    y=y + 4,
                    class_="tick end",
                ),
            ]
        for value in self._x.ticks(4):
            parts.append(
                markup.tag(
                    "text",
                    short(value, _EXACT),
                    x=self._x(value),
                    y=self._base + 14,
                    class_="tick middle",
                )
            )
        return parts


def short(value, digits=3):
    """A number for the tick of an axis: 35k, 1.2M, 0.05."""
    size = abs(value)
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= factor:
            unit = 1e3 if letter == "k" else factor
            return f"{value / unit:.{digits}g}{letter}"
    return f"{value:.{digits + 1}g}"


def span(values, room=0.06, zero=False):
    """The range of an axis: that of the values, and some room on both sides."""
    values = [v for v in values if v is not None and _finite(v)]
    if zero:
        values.append(0.0)
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    extra = (high - low) * room or abs(high) * 0.1 or 1.0
    return (low if zero and low == 0 else low - extra), high + extra


class _Axis:
    """Maps values to coordinates."""

    def __init__(self, limits, start, end, log):
        self._log = log
        low, high = (float(v) for v in limits)
        self._low, self._high = low, high if high > low else low + 1.0
        self._start, self._end = start, end

    def __call__(self, value):
        change = math.log if self._log else float
        low, high = change(self._low), change(self._high)
        share = (change(value) - low) / (high - low)
        return self._start + share * (self._end - self._start)

    def ticks(self, count):
        """About `count` round numbers inside the range."""
        if self._log:
            return self._powers(count)
        step = (self._high - self._low) / count
        unit = 10.0 ** math.floor(math.log10(step))
        step = next(unit * n for n in (1, 2, 2.5, 5, 10) if unit * n >= step)
        first = math.ceil(self._low / step - 1e-9)
        last = math.floor(self._high / step + 1e-9)
        return [n * step + 0.0 for n in range(first, last + 1)]

    def _powers(self, count):
        low = math.floor(math.log10(self._low))
        high = math.ceil(math.log10(self._high))
        for parts in ((1, 2, 5), (1, 3), (1,)):
            found = [
                n * 10.0**e
                for e in range(low, high + 1)
                for n in parts
                if self._low <= n * 10.0**e <= self._high
            ]
            if len(found) <= count + 1:
                break
        return found


def _overlap(one, other):
    return (
        one[0] < other[1]
        and other[0] < one[1]
        and one[2] < other[3]
        and other[2] < one[3]
    )


def _finite(value):
    return value is not None and math.isfinite(value)
