"""Legends: a sample of each style and its name."""

from tfprune.reports.html import markup

_HEIGHT = 12


def fields(*named):
    """A legend of filled squares, from pairs `(style, name)`."""
    return _legend(
        (markup.tag("rect", width=14, height=_HEIGHT, class_=style), 14, name)
        for style, name in named
    )


def lines(named):
    """A legend of lines, from pairs `(name, style)`; `None` without any."""
    if not named:
        return None
    middle = _HEIGHT // 2
    sides = {"x1": 0, "x2": 22, "y1": middle, "y2": middle}
    return _legend(
        (markup.tag("line", **sides, class_=f"line {style}"), 22, name)
        for name, style in named
    )


def _legend(entries):
    items = [
        markup.tag(
            "li",
            markup.tag(
                "svg", sample, width=width, height=_HEIGHT, aria_hidden="true"
            ),
            name,
        )
        for sample, width, name in entries
    ]
    return markup.tag("ul", items, class_="keys")
