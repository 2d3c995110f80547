"""Tables of text and numbers, drawn for a terminal or written as markdown."""

import dataclasses
import html
import io

import rich.box
import rich.cells
import rich.console
import rich.table
import rich.text

# Minimum width of a column of words, preferred and in a narrow terminal.
_NARROW, _NARROWEST = 12, 6
# Lists of names that are longer get several lines.
_WIDEST = 60


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose cells are text.

    Attributes:
        header: tuple of `str`, the names of the columns.
        rows: tuple of tuples of `str`, each as long as `header`.
        title: `str`, what the table shows; empty for none.
        left: `int`, number of leading columns of words; the others hold
            numbers and are right-aligned.

    Example:

    >>> Table(("layer", "MACs"), (("conv", "9,216"),)).to_markdown()
    '| layer | MACs |\\n| :-- | --: |\\n| conv | 9,216 |\\n'
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    left: int = 1

    def to_text(self, width=None):
        """Returns the table as text, each line ending in a newline.

        Args:
            width: `int`, columns of the terminal; `None` for as many as the
                table needs. In a narrow terminal, words wrap, and columns of
                numbers that do not fit move to a second table below; numbers
                are never cut. Long lists of names wrap in any case.
        """
        natural = [max(map(_natural, column)) for column in self._columns]
        if width is None or _drawn_width(natural) <= width:
            return self._drawn(natural)
        # Headers break between words; numbers do not.
        widths = [self._least(i) for i in range(len(self.header))]
        columns = range(len(widths))
        words = [i for i in columns if i < self.left]
        lists = [i for i in columns if any(map(_wraps, self._columns[i]))]
        spare = width - _drawn_width(widths)
        if spare < 0 and len(widths) > max(self.left, 1) + 1:
            return self._split(width)
        while spare < 0:
            wide = [i for i in words if widths[i] > _NARROWEST]
            if not wide:
                break
            widths[max(wide, key=widths.__getitem__)] -= 1
            spare += 1
        while spare > 0:
            short = [i for i in {*words, *lists} if widths[i] < natural[i]]
            if not short:
                break
            widths[min(short, key=widths.__getitem__)] += 1
            spare -= 1
        return self._drawn(widths)

    def _split(self, width):
        """Two tables, the first as wide as `width` allows."""
        fixed = max(self.left, 1)
        widths = [self._least(i) for i in range(len(self.header))]
        count = fixed + 1
        while _drawn_width(widths[: count + 1]) <= width:
            count += 1
        rest = (0, *range(count, len(self.header)))
        first = dataclasses.replace(
            self,
            header=self.header[:count],
            rows=tuple(row[:count] for row in self.rows),
        )
        second = dataclasses.replace(
            self,
            header=tuple(self.header[i] for i in rest),
            rows=tuple(tuple(row[i] for i in rest) for row in self.rows),
            title="",
            left=min(self.left, 1),
        )
        return f"{first.to_text(width)}\n{second.to_text(width)}"

    def _least(self, i):
        """The minimum width of a column, in characters."""
        if i < self.left:
            longest = max(map(rich.cells.cell_len, self._columns[i]))
            return min(longest, _NARROW)
        head, *cells = self._columns[i]
        cells = [
            _widest(c) if _wraps(c) else rich.cells.cell_len(c) for c in cells
        ]
        return max(*cells, _widest(head), 0)

    def _drawn(self, widths):
        drawn = rich.table.Table(
            box=rich.box.SIMPLE, pad_edge=False, show_edge=False
        )
        for i, name in enumerate(self.header):
            drawn.add_column(
                _literal(name),
                justify="left" if i < self.left else "right",
                width=widths[i],
                overflow="fold",
            )
        for row in self.rows:
            drawn.add_row(*map(_literal, row))
        file = io.StringIO()
        console = rich.console.Console(
            file=file,
            width=_drawn_width(widths) + 1,
            color_system=None,
            legacy_windows=False,
        )
        console.print(drawn)
        lines = [line.rstrip() for line in file.getvalue().splitlines()]
        lines = [self.title, *filter(None, lines)]
        return "\n".join(filter(None, lines)) + "\n"

    def __str__(self):
        return self.to_text()

    def _repr_html_(self):
        return self.to_html()

    def to_html(self):
        """Returns the table as HTML for a notebook."""
        head = "".join(
            self._html("th", i, n) for i, n in enumerate(self.header)
        )
        body = "".join(
            f"<tr>{''.join(self._html('td', i, c) for i, c in enumerate(row))}"
            "</tr>"
            for row in self.rows
        )
        title = f"<caption>{html.escape(self.title)}</caption>"
        return (
            f"<table>{title if self.title else ''}"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _html(self, tag, i, cell):
        side = "left" if i < self.left else "right"
        return f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'

    def to_markdown(self):
        """Returns the table as Markdown, with its title as a paragraph."""
        sides = range(len(self.header))
        marks = (":--" if i < self.left else "--:" for i in sides)
        lines = [_line(self.header), _line(marks), *map(_line, self.rows)]
        head = f"{self.title}\n\n" if self.title else ""
        return head + "\n".join(lines) + "\n"

    @property
    def _columns(self):
        """The cells of each column, its header first."""
        return list(zip(self.header, *self.rows, strict=True))


def _wraps(cell):
    """Whether a cell is a list of names too long for a line."""
    names = cell.split(", ")
    listed = len(names) > 1 and not any(" " in name for name in names)
    return listed and rich.cells.cell_len(cell) > _WIDEST


def _widest(cell):
    """The width of the widest word."""
    return max(map(rich.cells.cell_len, cell.split()), default=0)


def _natural(cell):
    """The width of a cell, in which a long list of names has several lines."""
    if _wraps(cell):
        return max(_widest(cell), _WIDEST)
    return rich.cells.cell_len(cell)


def _drawn_width(widths):
    """The width of a table, with three spaces between columns."""
    return sum(widths) + 3 * (len(widths) - 1)


def number(value):
    """An `int` with separators; "-" for `None`."""
    return "-" if value is None else f"{value:,}"


def percent(fraction, digits=1):
    """A fraction of 1 in percent; "-" for `None`."""
    return "-" if fraction is None else f"{100 * fraction:.{digits}f} %"


def ratio(fraction):
    """A fraction of 1 that somebody asked for in percent: 25%, 12.5%."""
    return f"{100 * fraction:.4g}%"


def cell(value):
    """A fraction of 1 in percent if it is a `float`, else a number."""
    return percent(value, 2) if isinstance(value, float) else number(value)


def shape(sizes):
    """A tensor's shape without the batch axis, as in 8x8x32."""
    return "x".join("?" if n is None else str(n) for n in sizes) or "scalar"


def change(before, after):
    """`"before -> after"`, or a single value if they are equal."""
    return before if before == after else f"{before} -> {after}"


def _literal(cell):
    # No markup, no emoji: a layer may be named "[bold]" or "cell:on:".
    return rich.text.Text(cell, justify="left" if _wraps(cell) else None)


def _line(cells):
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
