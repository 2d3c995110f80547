"""Tables of text and numbers, drawn for a terminal or written as markdown."""

import dataclasses
import io

import rich.box
import rich.console
import rich.markup
import rich.table


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose cells are text.

    Attributes:
        header: tuple of `str`, the names of the columns.
        rows: tuple of tuples of `str`, each as long as `header`.
        title: `str`, what the table shows; empty for none.
        left: `int`, how many columns from the left hold words; the others
            hold numbers and are aligned to the right.

    Example:

    >>> Table(("layer", "MACs"), (("conv", "9,216"),)).to_markdown()
    '| layer | MACs |\\n| :-- | --: |\\n| conv | 9,216 |\\n'
    """

    header: tuple
    rows: tuple
    title: str = ""
    left: int = 1

    def to_text(self):
        """The table as lines that end in a newline, as wide as it needs."""
        drawn = rich.table.Table(
            box=rich.box.SIMPLE, pad_edge=False, show_edge=False
        )
        for i, name in enumerate(self.header):
            justify = "left" if i < self.left else "right"
            drawn.add_column(_literal(name), justify=justify, no_wrap=True)
        for row in self.rows:
            drawn.add_row(*map(_literal, row))
        file = io.StringIO()
        # Wide enough for any table: a number cut short would be wrong.
        console = rich.console.Console(
            file=file, width=10_000, color_system=None, legacy_windows=False
        )
        console.print(drawn)
        lines = [line.rstrip() for line in file.getvalue().splitlines()]
        lines = [self.title, *filter(None, lines)]
        return "\n".join(filter(None, lines)) + "\n"

    def to_markdown(self):
        """The table as markdown, its title as a paragraph above."""
        marks = (":--" if i < self.left else "--:" for i in self._columns)
        lines = [_line(self.header), _line(marks), *map(_line, self.rows)]
        head = f"{self.title}\n\n" if self.title else ""
        return head + "\n".join(lines) + "\n"

    @property
    def _columns(self):
        return range(len(self.header))


def number(value):
    """An `int` with separators; "-" for `None`."""
    return "-" if value is None else f"{value:,}"


def percent(fraction, digits=1):
    """A fraction of 1 in percent; "-" for `None`."""
    return "-" if fraction is None else f"{100 * fraction:.{digits}f} %"


def cell(value):
    """A fraction of 1 in percent if it is a `float`, else a number."""
    return percent(value, 2) if isinstance(value, float) else number(value)


def shape(sizes):
    """A tensor's shape without the batch axis, as in 8x8x32."""
    return "x".join("?" if n is None else str(n) for n in sizes) or "scalar"


def change(before, after):
    """`"before -> after"`, or one of them where they are equal."""
    return before if before == after else f"{before} -> {after}"


def _literal(cell):
    # A layer named "[bold]" is a name.
    return rich.markup.escape(cell)


def _line(cells):
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
