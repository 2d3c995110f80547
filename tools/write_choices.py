"""Writes tfprune/cli/choices.py: what the values of flags can be.

`python -m tools.write_choices` writes it from the registries of the library,
`--check` only tells whether it is current. The command line has it as plain
data, so that help, lists and wrong flags need no Keras.
"""

import argparse
import sys
import textwrap

from tfprune.export.file import modes
from tfprune.export.micro import npu
from tfprune.export.micro import projects
from tfprune.reports import catalogue
from tfprune.searches import amc
from tfprune.searches import strategies
from tfprune.selection import rounding
from tools import source_tree

PAGE = source_tree.ROOT / "tfprune" / "cli" / "choices.py"
_HEAD = '''"""What the values of flags can be; by tools/write_choices.py."""

'''


def choices():
    """`dict` from the name of each constant to its comment and its value."""
    table = catalogue.criteria()
    interfaces = {name: mode.interfaces for name, mode in modes.MODES.items()}
    return {
        "CRITERIA": (f"{', '.join(table.header)}.", table.rows),
        "STRATEGIES": ("", tuple(strategies.STRATEGIES.names())),
        "REWARDS": ("", tuple(amc.REWARDS)),
        "INTERFACES": ("Of each mode of quantization.", interfaces),
        "CALIBRATED": (
            "Modes that measure ranges.",
            tuple(k for k, mode in modes.MODES.items() if mode.calibrated),
        ),
        "ACCELERATORS": ("", tuple(npu.ACCELERATORS)),
        "TARGETS": ("", tuple(rounding.TARGETS)),
        "PROJECTS": (
            "Of build tools, and the scales of dense layers that they read.",
            {k: v.dense_scales for k, v in projects.PROJECTS.items()},
        ),
    }


def text():
    """The text of the file, as `ruff format` leaves it."""
    parts = [_HEAD]
    for name, (comment, value) in choices().items():
        note = f"# {comment}\n" if comment else ""
        parts.append(f"{note}{name} = {_drawn(value)}\n")
    return "".join(parts)


def _drawn(value, indent=""):
    """A literal, one line for each part of it."""
    inner = f"{indent}    "
    if isinstance(value, dict):
        parts = [f'"{k}": {_drawn(v, inner)}' for k, v in value.items()]
        marks = "{}"
    elif isinstance(value, tuple):
        parts, marks = [_drawn(v, inner) for v in value], "()"
    else:
        lines = textwrap.wrap(value, 77 - len(indent), drop_whitespace=False)
        return f"\n{indent}".join(f'"{line}"' for line in lines)
    if len(parts) == 1:
        return f"{marks[0]}{parts[0]},{marks[1]}"
    lines = [f"{inner}{part}," for part in parts]
    return "\n".join([marks[0], *lines, f"{indent}{marks[1]}"])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(argv).check
    new = text()
    if check:
        return int(new != PAGE.read_text())
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
