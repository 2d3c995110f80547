"""Lists of available choices; these do not need Keras."""

from tfprune.cli import choices
from tfprune.cli import printing
from tfprune.core import tables

_HEADER = ("criterion", "paper", "data", "cost", "year")


def criteria(paths, values, given):
    """The text of `tfprune criteria`."""
    del paths, given
    if values.format == "json":
        rows = [dict(zip(_HEADER, r, strict=True)) for r in choices.CRITERIA]
        return printing.as_json(rows)
    return printing.shown(
        [tables.Table(_HEADER, choices.CRITERIA, left=4)], values
    )
