"""Writes the measured numbers into README.md and the page of the demo.

    make demo
    .venv/bin/python -m tools.write_readme

Each block of the README between `<!-- name:begin -->` and `<!-- name:end -->`
is written anew: from the results of `make demo`, from what the README's first
example prints, which it runs, from docs/peers.md, from the finished `records/`
and from the page of `make platforms`. A source that is not there leaves its
block as it is.
"""

import argparse
import json
import re
import subprocess
import sys

from tfprune.core import tables
from tools import source_tree

DEMO = "build/demo/report.json"
RECORDS = "records"
PEERS = "docs/peers.md"
PLATFORMS = "docs/results/platforms.md"
DEMO_PAGE = "docs/results/demo.md"
RECORDS_PAGE = "docs/results/records.md"
_CODE = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
_NOTES = re.compile(r" \[\d+\]|\[([^]]+)\]\([^)]+\)")
_DEMO_ROWS = (
    "test accuracy, float32",
    "test accuracy, int8 on TFLite Micro",
    "parameters",
    "MACs",
    "float32 file bytes",
    "int8 flash, measured",
    "arena, measured",
    "arena, needed on the core",
)


def result(results):
    """One line: what `make demo` makes of its network."""
    dense, small = (results["nets"][k] for k in ("dense", "compressed"))
    images = results["settings"]["images"]
    float32, int8 = (
        tables.percent(value)
        for value in (
            dense["test accuracy, float32"],
            small["test accuracy, int8 on TFLite Micro"],
        )
    )
    saved = 1 - small["MACs"] / dense["MACs"]
    return (
        f"> **Handwritten digits: multiply-adds −{saved * 100:.0f} %, flash "
        f"{dense['float32 file bytes']:,} → "
        f"{small['int8 flash, measured']:,} bytes (float32 → int8), accuracy "
        f"{float32} → {int8}**, on {images['test']} test images, as TFLite "
        f"Micro computes it ([details]({DEMO_PAGE}))."
    )


def records(folder):
    """The networks that were trained to the end, published beside ours."""
    rows = []
    for path in sorted(folder.glob("*/metrics.json")):
        found = json.loads(path.read_text())
        published = found["published"]
        rows.append(
            (
                found["title"],
                f"{published['accuracy']:.2%} ({published['source']})",
                f"{found['test_accuracy']:.2%}",
                f"{found['params']:,}",
                f"{found['macs']:,}",
                f"{found['epochs']}, {found['seed']}",
            )
        )
    header = ("CIFAR-10", "published", "here", "parameters", "multiply-adds")
    header += ("epochs, seed",)
    return (
        f"{tables.Table(header, tuple(rows)).to_markdown()}\n"
        "Accuracy on the 10,000 test images after the last epoch. The networks "
        f"lie in `records/`; `make verify-records` measures them again ([how "
        f"they were made]({RECORDS_PAGE}))."
    )


def demo(results):
    """The page of `make demo`."""
    nets, settings = results["nets"], results["settings"]
    lines = [
        "# The demo",
        "",
        "A small residual network for handwritten digits, compressed for a "
        "board by `make demo` (`examples/demo.py`).",
        "",
        "| | " + " | ".join(nets) + " |",
        "| :-- |" + " --: |" * len(nets),
    ]
    for name in _DEMO_ROWS:
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


def told(versions):
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def peers(page):
    """The first table of docs/peers.md without its sources and versions."""
    lines = [line for line in page.split("\n\n") if line.startswith("| |")]
    rows = lines[0].splitlines()
    kept = [row for row in rows if not row.startswith("| version ")]
    return _NOTES.sub(lambda m: m[1] or "", "\n".join(kept))


def platforms(page):
    """What runs where, from the table of `make platforms`.

    Args:
        page: `str`, the page; its columns are extras, its cells the Pythons
            that have wheels for them.

    Returns:
        `str`, a table and a sentence.
    """
    header, _, *rows = (
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("|")
    )
    lines = [
        "| | prune, train, search | export TFLite | write C sources, run files "
        "on TFLite Micro |",
        "| :-- | :-- | :-- | :-- |",
    ]
    measured, elsewhere = [], []
    for row in rows:
        name, has = row[0], dict(zip(header, row, strict=True))
        prunes, runs = "yes", "no"
        if has["cpu"] == "-":
            prunes = "no" if has["jax"] == "-" else f"on JAX, {has['jax']}"
        exports = "-" not in (has["cpu"], has["export"])
        if exports and has["tflite-micro"] != "-":
            runs = "yes"
            measured.append(name)
        elif exports:
            runs = "no; RAM is predicted"
            elsewhere.append(name)
        cells = (name, prunes, "yes" if exports else "no", runs)
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "C sources hold what TFLite Micro's interpreter computes, which has "
        f"wheels for {_listed(measured)}. On {_listed(elsewhere)} files are "
        "exported without it, and the RAM is predicted.",
    ]
    return "\n".join(lines)


def _listed(names):
    return ", ".join(names[:-2] + [" and ".join(names[-2:])])


def first(text):
    """What the first example of a README prints, as a block of text.

    Raises:
        subprocess.CalledProcessError: If the example fails.
    """
    code = _CODE.search(text)[1]
    printed = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return f"```text\n{printed.rstrip()}\n```"


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


BLOCKS = ("result", "records", "first", "platforms", "peers")


def _results(path):
    place = source_tree.ROOT / path
    if place.exists():
        return json.loads(place.read_text())
    sys.stderr.write(f"{path} is not there: what it says stays as it is\n")
    return None


def _write(path, text):
    place = source_tree.ROOT / path
    temporary = place.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.rename(place)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--run", action="store_true", help="run the first example as well"
    )
    options = parser.parse_args(arguments)
    text = (source_tree.ROOT / "README.md").read_text()
    text = filled(text, "peers", peers((source_tree.ROOT / PEERS).read_text()))
    page = (source_tree.ROOT / PLATFORMS).read_text()
    text = filled(text, "platforms", platforms(page))
    if found := _results(DEMO):
        text = filled(text, "result", result(found))
        _write(DEMO_PAGE, demo(found) + "\n")
    text = filled(text, "records", records(source_tree.ROOT / RECORDS))
    if options.run:
        text = filled(text, "first", first(text))
    _write("README.md", text)


if __name__ == "__main__":
    main()
