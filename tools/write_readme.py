"""Writes the measured numbers into README.md.

    make demo && .venv/bin/python benchmarks/prune_speed.py
    .venv/bin/python -m tools.write_readme

Each block of the README between `<!-- name:begin -->` and `<!-- name:end -->`
is written anew from the result file of the same name, if that file is there.
"""

import argparse
import json
import pathlib
import sys

from tfprune.core import tables
from tools import source_tree

RESULTS = {
    "demo": "build/demo/report.json",
    "speed": "build/bench/prune_speed.json",
}


def demo(results):
    """The table of `make demo`."""
    nets, settings = results["nets"], results["settings"]
    rows = [
        "test accuracy, float32",
        "test accuracy, int8 on TFLite Micro",
        "parameters",
        "MACs",
        "float32 file bytes",
        "int8 flash, measured",
        "arena, measured",
        "arena, needed on the core",
    ]
    lines = [
        "| | " + " | ".join(nets) + " |",
        "| :-- |" + " --: |" * len(nets),
    ]
    for name in rows:
        cells = " | ".join(tables.cell(net.get(name)) for net in nets.values())
        lines.append(f"| {name} | {cells} |")
    images = settings["images"]
    lines += [
        "",
        f"{settings['data'].capitalize()}: {images['train']} images to train, "
        f"{images['validation']} to validate, {images['test']} to test, on "
        f"which the accuracies are. Seed {settings['seed']}, "
        f"{settings['epochs']} epochs, then {settings['tune_epochs']} of the "
        f"smaller net. {told(settings['versions'])}; {settings['machine']}.",
    ]
    return "\n".join(lines)


def speed(results):
    """The table of `benchmarks/prune_speed.py`."""
    limits = results["limits"]
    lines = [
        "| network | analysis, scores, selection | whole `prune` | extra "
        "memory / weights |",
        "| :-- | --: | --: | --: |",
    ]
    for name, row in results.items():
        if isinstance(row, dict) and "prune" in row and name != "limits":
            cells = (row["analysis"], row["prune"], row["memory"])
            lines.append(
                f"| {name} | " + " | ".join(f"{c:.2f}" for c in cells) + " |"
            )
    cells = (limits["analysis"], limits["prune"], limits["memory"])
    lines.append("| goal | " + " | ".join(f"{c:.2f}" for c in cells) + " |")
    growth = results["growth"]
    lines += [
        "",
        "Time of the analysis grows as layers^"
        f"{growth['exponent_layers']:.2f} and as channels^"
        f"{growth['exponent_channels']:.2f} (fitted). "
        f"{told(results['versions'])}; {results['machine']}.",
    ]
    return "\n".join(lines)


def told(versions):
    return ", ".join(f"{name} {version}" for name, version in versions.items())


BLOCKS = {"demo": demo, "speed": speed}


def filled(text, name, block):
    """A README with one block replaced.

    Raises:
        ValueError: If the marks of the block are not there, once and in order.
    """
    marks = [f"<!-- {name}:{end} -->" for end in ("begin", "end")]
    places = [text.find(mark) for mark in marks]
    if -1 in places or places[0] > places[1]:
        raise ValueError(
            f"The README must hold {marks[0]} and then {marks[1]}. "
            f"Received: marks at {places}."
        )
    start = places[0] + len(marks[0])
    return f"{text[:start]}\n{block}\n{text[places[1] :]}"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args(arguments)
    root = pathlib.Path(source_tree.ROOT)
    readme = root / "README.md"
    text = readme.read_text()
    for name, path in RESULTS.items():
        if (root / path).exists():
            results = json.loads((root / path).read_text())
            text = filled(text, name, BLOCKS[name](results))
        else:
            sys.stderr.write(f"{path} is not there: {name} stays as it is\n")
    temporary = readme.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.rename(readme)


if __name__ == "__main__":
    main()
