"""Parts that several sections of a page use: tables, bars, notes."""

from tfprune.reports.html import markup


def table(header, rows, caption="", left=1):
    """A table of texts.

    Args:
        header: the names of the columns.
        rows: lists of texts or elements, as long as `header`.
        caption: `str`.
        left: `int`, the number of columns that are aligned left, for words.
    """

    def place(column):
        return None if column < left else "number"

    def cells(row):
        yield markup.tag("th", row[0], scope="row")
        for column, cell in enumerate(row[1:], start=1):
            yield markup.tag(
                "td", cell, class_=place(column), data_column=header[column]
            )

    return markup.tag(
        "div",
        markup.tag(
            "table",
            markup.tag("caption", caption) if caption else None,
            markup.tag(
                "thead",
                markup.tag(
                    "tr",
                    [
                        markup.tag("th", name, scope="col", class_=place(i))
                        for i, name in enumerate(header)
                    ],
                ),
            ),
            markup.tag(
                "tbody", [markup.tag("tr", list(cells(row))) for row in rows]
            ),
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption or "table",
    )


def folded(summary, *content):
    """Content that is hidden until the reader opens it."""
    return markup.tag("details", markup.tag("summary", summary), list(content))


def note(*content):
    """A paragraph in a muted colour."""
    return markup.tag("p", list(content), class_="soft")


def grid(panels):
    """Panels side by side, as many as fit."""
    return markup.tag("div", panels, class_="panels")


def bar(before, after, widest, told):
    """A bar of `after` in front of one of `before`.

    Args:
        before, after: numbers; `None` omits the bar.
        widest: the number that fills the whole width.
        told: `str`, the tooltip.
    """

    def part(value, style):
        if not value:
            return None
        share = 100 * value / (widest or 1)
        return markup.tag(
            "rect", width=f"{max(share, 0.4):.2f}%", height=8, class_=style
        )

    return markup.tag(
        "svg",
        markup.tag("title", told),
        part(before, "before"),
        part(after, "after"),
        class_="bar mark",
        height=8,
        role="img",
    )
