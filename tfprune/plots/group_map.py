"""Channel groups drawn as boxes and arrows, in SVG, without Graphviz."""

import collections

from tfprune.reports.html import markup

_WIDTH, _HEIGHT = 214, 62  # Of a box.
_GAP, _FLOOR, _EDGE = 22, 112, 16
_MOST = 6  # Boxes side by side.
_LETTERS = 29
_STYLE = """
svg { background: #fff; color: #1d1f22; font: 12px system-ui, sans-serif; }
text { fill: currentColor; text-anchor: middle; }
.soft { fill: #5a6068; font-size: 11px; }
rect { fill: #e3f0f8; stroke: #0072b2; stroke-width: 1.5; }
.kept rect { fill: #ececec; stroke: #7b828a; }
path { fill: none; stroke: #7b828a; stroke-width: 1.3; }
.back { stroke-dasharray: 5 4; }
marker path { fill: #7b828a; stroke: none; }
@media (prefers-color-scheme: dark) {
  svg { background: #131517; color: #e9eaec; }
  .soft { fill: #a4abb4; }
  rect { fill: #16364a; stroke: #4fb0ea; }
  .kept rect { fill: #2a2f35; stroke: #8f979f; }
}
"""


def drawn(boxes, arrows, title):
    """Draws boxes in rows, each below the boxes that lead to it.

    Args:
        boxes: list of `(lines, kept)`: the texts in a box, and whether its
            channels must stay.
        arrows: `dict` from two box indices to a text.
        title: `str`.

    Returns:
        The SVG document, a `str`.
    """
    places, width, height = _layout(len(boxes), arrows)
    arrowhead = markup.tag(
        "marker",
        markup.tag("path", d="M0 0L8 4L0 8z"),
        id="head",
        viewBox="0 0 8 8",
        refX=7,
        refY=4,
        markerWidth=8,
        markerHeight=8,
        orient="auto-start-reverse",
    )
    return markup.text(
        markup.tag(
            "svg",
            markup.tag("title", title),
            markup.tag(
                "desc",
                f"{len(boxes)} groups of coupled channels; an arrow is a layer "
                "that reads one group and writes another.",
            ),
            markup.tag("style", _STYLE),
            markup.tag("defs", arrowhead),
            [
                _arrow(places[a], places[b], text, arrows.get((b, a)), a > b)
                for (a, b), text in arrows.items()
                # Arrows in both directions become one with two heads.
                if a <= b or (b, a) not in arrows
            ],
            [
                _box(place, *box)
                for place, box in zip(places, boxes, strict=True)
            ],
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {width} {height}",
            width=width,
            height=height,
            role="img",
        )
    )


def _layout(count, arrows):
    """Where each box stands, `(x, y)` of its upper left, and the size."""
    before = collections.defaultdict(list)
    for a, b in arrows:
        if a < b:  # Ignore arrows that lead back, or rows would be circular.
            before[b].append(a)
    rank, order = [0] * count, dict.fromkeys(range(count), 0.0)
    for b in range(count):
        rank[b] = max((rank[a] + 1 for a in before[b]), default=0)
    rows = collections.defaultdict(list)
    for b in range(count):
        rows[rank[b]].append(b)
    lines = []
    for _, row in sorted(rows.items()):
        for b in row:
            above = [order[a] for a in before[b]]
            order[b] = sum(above) / len(above) if above else 0.0
        row.sort(key=lambda b: (order[b], b))
        for i in range(0, len(row), _MOST):
            line = row[i : i + _MOST]
            lines.append(line)
            order |= {b: n - (len(line) - 1) / 2 for n, b in enumerate(line)}
    widest = max(map(len, lines), default=1)
    width = widest * (_WIDTH + _GAP) - _GAP + 2 * _EDGE
    places = [None] * count
    for number, line in enumerate(lines):
        start = (width - len(line) * (_WIDTH + _GAP) + _GAP) / 2
        for i, b in enumerate(line):
            places[b] = (
                start + i * (_WIDTH + _GAP),
                _EDGE + number * _FLOOR,
            )
    return places, width, _EDGE * 2 + (len(lines) - 1) * _FLOOR + _HEIGHT


def _box(place, lines, kept):
    x, y = place
    first = y + _HEIGHT / 2 - 8 * (len(lines) - 1) + 4
    return markup.tag(
        "g",
        markup.tag("title", "\n".join(lines)),
        markup.tag("rect", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=7),
        [
            markup.tag(
                "text",
                _short(line),
                x=x + _WIDTH / 2,
                y=first + 16 * i,
                class_="soft" if i else None,
            )
            for i, line in enumerate(lines)
        ],
        class_="kept" if kept else None,
    )


def _arrow(source, target, text, returning, back):
    (x, y), (to_x, to_y) = source, target
    if source == target:
        right, middle = x + _WIDTH, y + _HEIGHT / 2
        path = (
            f"M{right} {middle - 12}C{right + 30} {middle - 24} "
            f"{right + 30} {middle + 24} {right} {middle + 12}"
        )
        returning = None
    else:
        start = (x + _WIDTH / 2, y if back else y + _HEIGHT)
        end = (to_x + _WIDTH / 2, to_y + _HEIGHT if back else to_y)
        bend = (end[1] - start[1]) / 2
        path = (
            f"M{start[0]} {start[1]}C{start[0]} {start[1] + bend} "
            f"{end[0]} {end[1] - bend} {end[0]} {end[1]}"
        )
    return markup.tag(
        "g",
        markup.tag(
            "title", f"{text}; back: {returning}" if returning else text
        ),
        markup.tag(
            "path",
            d=path,
            marker_start="url(#head)" if returning else None,
            marker_end="url(#head)",
            class_="back" if back else None,
        ),
    )


def _short(text):
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
