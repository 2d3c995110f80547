"""Draws the rooms of tfprune and their imports into CONTRIBUTING.md.

`python -m tools.draw_rooms` writes the picture, `--check` only tells whether
it is current. An arrow goes from a room to one that it imports; one that a
detour over other arrows shows already is left out.
"""

import argparse
import collections
import pathlib
import sys

from tools import house_rules
from tools import source_tree

PAGE = source_tree.ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- rooms: begin -->\n", "<!-- rooms: end -->\n"


def edges():
    """The rooms that each room imports, a `dict` from name to set of names."""
    found = collections.defaultdict(set)
    for source in house_rules.sources():
        here = house_rules.room(source.module)
        if not source.in_library or here == "__init__":
            continue
        rooms = found[here]
        for entry in source.imports:
            there = house_rules.room(entry.module)
            inside = entry.module.split(".")[0] == "tfprune"
            if inside and there not in (here, "__init__"):
                rooms.add(there)
    return dict(found)


def reduced(graph):
    """The edges without those that a longer way shows.

    Args:
        graph: `dict` from node to the set of nodes it points to, no cycle.

    Returns:
        A `dict` likewise.
    """

    def reached(node):
        below = set(graph.get(node, ()))
        return below.union(*(reached(other) for other in below))

    return {
        node: others - set().union(*(reached(other) for other in others))
        for node, others in graph.items()
    }


def picture(graph):
    """The Mermaid text of the rooms."""
    lines = ["```mermaid", "flowchart TD"]
    for room, others in sorted(reduced(graph).items()):
        lines += [f"    {room} --> {other}" for other in sorted(others)]
    return "\n".join([*lines, "```", ""])


def written(text, drawing):
    """The page with the drawing between its two marks.

    Raises:
        ValueError: If the page lacks a mark.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(
            f"The page must hold {BEGIN.strip()!r} and {END.strip()!r}. "
            f"Received: text of {len(text)} characters. Add both lines."
        )
    head, rest = text.split(BEGIN)
    return head + BEGIN + drawing + END + rest.split(END)[1]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(argv).check
    page = pathlib.Path(PAGE)
    text = page.read_text()
    new = written(text, picture(edges()))
    if check:
        return int(new != text)
    page.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
