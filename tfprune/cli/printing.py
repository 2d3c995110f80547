"""How results are written on a terminal, in markdown, or as JSON."""

import os
import shutil
import sys

from tfprune.core.files import json_text


def report(found, values):
    """A `tfprune.reports` report: totals first, layers with `--layers`."""
    if values.format == "json":
        return found.to_json()
    drawn = found.tables() if values.layers else found.tables()[:1]
    return shown(drawn, values) + unknown(found)


def unknown(found):
    """What a report could not count, a line, or nothing."""
    names = found.to_dict()["unknown"].items()
    if not names:
        return ""
    listed = ", ".join(f"{path} ({name})" for path, name in names)
    return (
        f"\nMultiply-adds of layers without a rule are not counted: {listed}.\n"
    )


def shown(drawn, values):
    """Tables as text or markdown, an empty line between them."""
    if values.format == "markdown":
        return "\n".join(table.to_markdown() for table in drawn)
    return "\n".join(table.to_text(_width()) for table in drawn)


def as_json(facts):
    """Facts as `--format=json` writes them."""
    return json_text.written(facts)


def _width():
    """The columns of the terminal; `None` where no terminal limits them."""
    # A process may have no stdout.
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    if os.environ.get("COLUMNS", "").isdigit() or is_terminal:
        return shutil.get_terminal_size().columns
    return None
