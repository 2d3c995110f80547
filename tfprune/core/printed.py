"""Results that print as tables, on a terminal and in a notebook."""

import dataclasses
import numbers

from tfprune.core import tables


class Printed:
    """Base class of results that print as tables, also in notebooks.

    A dataclass shows its fields: numbers and words in one table, each nested
    record in its own. Other classes override `tables`.
    """

    def tables(self):
        """A list of `tables.Table`."""
        fields = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
        }
        rows = tuple(
            (_words(name), cell)
            for name, value in fields.items()
            if (cell := _cell(value)) is not None
        )
        own = tables.Table((type(self).__name__, "value"), rows)
        found = [own] if rows else []
        for value in fields.values():
            if isinstance(value, Printed):
                found += value.tables()
            elif _are_records(value):
                found.append(of_records(value))
        return found

    def __str__(self):
        return "\n".join(table.to_text() for table in self.tables())

    def _repr_html_(self):
        return "".join(table.to_html() for table in self.tables())


class Records(list):
    """A list of dataclasses of one kind that prints as a table."""

    def __str__(self):
        return of_records(self).to_text() if self else "none\n"

    def _repr_html_(self):
        return of_records(self).to_html() if self else "none"


def of_records(records):
    """Returns a `tables.Table` with one row per record, one column per field.

    Args:
        records: list of dataclasses of one kind, at least one.
    """
    names = [
        field.name
        for field in dataclasses.fields(records[0])
        if all(_cell(getattr(r, field.name)) is not None for r in records)
    ]
    # Words are left-aligned, numbers right-aligned.
    words = [n for n in names if not _is_number(records, n)]
    names = words + [n for n in names if n not in words]
    rows = (tuple(_cell(getattr(r, n)) for n in names) for r in records)
    return tables.Table(tuple(map(_words, names)), tuple(rows), left=len(words))


def _is_number(records, name):
    kinds = (numbers.Real, type(None))
    return all(isinstance(getattr(r, name), kinds) for r in records)


def _are_records(value):
    return (
        isinstance(value, (list, tuple))
        and bool(value)
        and all(dataclasses.is_dataclass(item) for item in value)
    )


def _cell(value):
    """A field as text; `None` unless it is a number, a word or several."""
    if value is None or isinstance(value, (bool, str)):
        return "-" if value is None else str(value)
    if isinstance(value, numbers.Integral):
        return tables.number(int(value))
    if isinstance(value, numbers.Real):
        return f"{float(value):.4g}"
    if isinstance(value, dict):
        parts = [f"{k} {_cell(v)}" for k, v in value.items() if _cell(v)]
        return ", ".join(parts) if len(parts) == len(value) else None
    if isinstance(value, (list, tuple)):
        parts = [_cell(item) for item in value]
        return None if None in parts else ", ".join(parts)
    return None


def _words(name):
    return name.replace("_", " ")
