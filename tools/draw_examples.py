"""Draws the pictures of examples/README.md from the results in docs/results.

    make demo && .venv/bin/python -m tools.draw_examples
    .venv/bin/python -m tools.draw_examples --measure  # some minutes more

A point for each seed and a mark for their mean; amounts are lines from zero.
`--measure` first runs the examples of `MEASURED` on handwritten digits and
writes their results; `compare_tfmot` needs the environment of `make
venv-tfmot`. The picture of the demo is drawn from build/demo. What has no
results stays as it is.
"""

import argparse
import collections
import importlib
import json
import statistics
import subprocess
import sys

import keras
import numpy as np

import tfprune
from tfprune.plots import style
from tools import source_tree

RESULTS = source_tree.ROOT / "docs" / "results"
FOLDER = source_tree.ROOT / "docs" / "images" / "examples"
DEMO = source_tree.ROOT / "build" / "demo"
TFMOT = source_tree.ROOT / ".venv-tfmot" / "bin" / "python"
_DIGITS = ["--dataset=digits", "--epochs=12"]
_SEEDS = "--seed=0,1,2"
_NETWORKS = ("resnet8", "resnet20")
# Results in docs/results, and the runs of a script that they are made of.
MEASURED = {
    "train_digits": [
        ["train.py", f"--model={name}", *_DIGITS, _SEEDS] for name in _NETWORKS
    ],
    "export_digits": [
        ["export.py", "--model=resnet8", "--macs=0.5", *_DIGITS, _SEEDS]
    ],
    "compare_tfmot_digits": [
        ["compare_tfmot.py", "--model=resnet20", "--macs=0.25", *_DIGITS]
        + [f"--tfmot_python={TFMOT}"]
    ],
}


def measure(name):
    """Runs the examples behind a result and writes its rows and its page."""
    rows, pages = [], []
    for i, (script, *options) in enumerate(MEASURED[name]):
        out = source_tree.ROOT / "build" / "examples" / f"{name}-{i}"
        table = out.with_suffix(".md")
        command = [sys.executable, source_tree.ROOT / "examples" / script]
        command += [*options, "--resume", f"--out={out}", f"--table={table}"]
        subprocess.run(command, check=True)
        rows += json.loads((out / "metrics.json").read_text())["rows"]
        pages.append(table.read_text())
    text = json.dumps(rows, indent=1) + "\n"
    (RESULTS / f"{name}.json").write_text(text)
    (RESULTS / f"{name}.md").write_text("\n".join(pages))


def _rows(name):
    return json.loads((RESULTS / f"{name}.json").read_text())


def _percent(value):
    return value if value > 1 else 100 * value


def _panels(rows, panel, line, value):
    """`{panel: {line: values}}` of rows, each a function of a row."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for row in rows:
        found[panel(row)][line(row)].append(value(row))
    return found


def train():
    """Accuracy of dense networks."""
    return _panels(
        _rows("train_digits"),
        lambda row: "test accuracy on digits, %",
        lambda row: row["settings"]["model"],
        lambda row: _percent(row["accuracy"]),
    )


def prune():
    """Accuracy by criterion, after fine-tuning."""
    return _panels(
        sorted(_rows("minicifar_criteria"), key=lambda row: -row["budget"]),
        lambda row: f"{row['budget']:.0%} of the MACs: accuracy, %",
        lambda row: row["criterion"],
        lambda row: _percent(row["accuracy"]),
    )


def compare_criteria():
    """Accuracy by criterion, step by step."""
    rows = _rows("criteria_resnet20")
    steps = {"pruned": "pruned", "both": "refitted", "fine_tuned": "fine-tuned"}
    return {
        f"{title}: accuracy, %": {
            row["criterion"]: [_percent(row["accuracy"][step])]
            for row in rows
            if row["ranking"] == "group" and step in row["accuracy"]
        }
        for step, title in steps.items()
    }


def fit_pruning():
    """Accuracy of each method inside `fit`."""
    return _panels(
        _rows("fit_pruning"),
        lambda row: "ResNet-20 on MiniCIFAR: accuracy, %",
        lambda row: row["method"],
        lambda row: _percent(row["accuracy"]),
    )


def lenet5_autoprune():
    """Times fewer weights, and accuracy, by strength."""
    rows = sorted(_rows("lenet5_autoprune"), key=lambda row: row["mu"])
    panels = {
        "weights, times fewer": lambda row: row["factor"],
        "accuracy, %": lambda row: _percent(row["accuracy"]),
    }
    return {
        title: _panels(rows, lambda _: "", lambda r: f"mu {r['mu']}", value)[""]
        for title, value in panels.items()
    }


def export():
    """Bytes and accuracy of each format."""
    rows = _rows("export_digits")
    panels = {
        "file, kB": lambda row: row["file_bytes"] / 1000,
        "accuracy of the file, %": lambda row: _percent(row["accuracy"]),
    }
    return {
        title: _panels(rows, lambda _: "", lambda r: r["method"], value)[""]
        for title, value in panels.items()
    }


def fit_board():
    """Flash and RAM of the int8 file, in percent of what the board has."""
    row = _rows("resnet8_board")
    settings = row["settings"]
    names = {"flash": "flash_bytes", "ram": "ram_bytes"}
    return {
        "percent of the limit": {
            name: [100 * row[name] / settings[limit]]
            for name, limit in names.items()
        }
    }


def reproduce_table():
    """What the papers report, from the configuration of the rows."""
    # The examples are scripts: they import one another by their bare names.
    sys.path.insert(0, str(source_tree.ROOT / "examples"))
    rows = importlib.import_module("published_rows").ROWS
    panels = {
        "published: points of accuracy": lambda p: (
            100 * (p["pruned"] - p["dense"])
        ),
        "weights removed, %": lambda p: 100 * p["params"],
    }
    return {
        title: {name: [value(row.published)] for name, row in rows.items()}
        for title, value in panels.items()
    }


def compare_tfmot():
    """Accuracy, file and latency of what each library leaves."""
    rows = _rows("compare_tfmot_digits")
    panels = {
        "accuracy, int8, %": lambda row: _percent(row["accuracy"]),
        "file, kB": lambda row: row["file_bytes"] / 1000,
        "latency, % of dense": lambda row: 100 * row["latency"],
    }

    def line(row):
        share = row["budget"]
        return row["method"] + (f", {share:.0%} left" if share else "")

    return {
        title: _panels(rows, lambda _: "", line, value)[""]
        for title, value in panels.items()
    }


PICTURES = {
    "train": train,
    "prune": prune,
    "compare_criteria": compare_criteria,
    "fit_pruning": fit_pruning,
    "lenet5_autoprune": lenet5_autoprune,
    "export": export,
    "fit_board": fit_board,
    "reproduce_table": reproduce_table,
    "compare_tfmot": compare_tfmot,
}
# Panels of amounts, which begin at zero.
_AMOUNTS = {
    "file, kB",
    "latency, % of dense",
    "percent of the limit",
    "weights removed, %",
    "weights, times fewer",
}
# Those whose lines are sorted, best first; the others stand in their order.
_SORTED = ("prune", "compare_criteria")


def drawn(panels, ordered=False):
    """A `matplotlib.figure.Figure` with a panel for each of `panels`.

    Args:
        panels: `{title: {line: values}}`.
        ordered: `bool`, whether lines are sorted by their last panel.
    """
    names = list(dict.fromkeys(n for panel in panels.values() for n in panel))
    if ordered:
        last = list(panels.values())[-1]
        names.sort(key=lambda name: -statistics.fmean(last.get(name, [0])))
    size = (2.7 * len(panels) + 1.6, 0.27 * len(names) + 0.8)
    with style.used():
        figure, ((*grid,),) = style.panels(1, len(panels), size)
        figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
        for axes, (title, values) in zip(grid, panels.items(), strict=True):
            for i, name in enumerate(names):
                points = values.get(name, [])
                mean = [statistics.fmean(points)] if points else []
                if title in _AMOUNTS:
                    axes.hlines([i] * len(mean), 0, mean, color=style.KEPT)
                if len(points) > 1:
                    place = [i] * len(points)
                    axes.plot(points, place, "o", color=style.REMOVED)
                    axes.plot(mean, [i], "|", ms=11, mew=2.5, color=style.KEPT)
                else:
                    axes.plot(mean, [i] * len(mean), "o", color=style.KEPT)
            every = [x for points in values.values() for x in points]
            low, high = min(every), max(every)
            if title in _AMOUNTS or low < 0.4 * high:
                low = min(low, 0.0)
            margin = 0.06 * ((high - low) or 1.0)
            axes.set_xlim(low - margin * (low != 0), high + margin)
            axes.set_title(title)
            axes.grid(axis="y", linestyle=":")
            axes.set_yticks(
                np.arange(len(names)), names if axes is grid[0] else []
            )
            axes.tick_params(length=0)
            axes.set_ylim(len(names) - 0.4, -0.6)
        return style.encoded(figure)


def demo():
    """The channels that the demo kept, as bytes of a picture."""
    models = [
        keras.models.load_model(DEMO / name, compile=False)
        for name in ("dense.keras", "compressed/model.keras")
    ]
    return style.encoded(tfprune.plots.channels_plot(*models))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--only", default="", help="results to measure")
    options = parser.parse_args(arguments)
    if options.measure:
        for name in options.only.split(",") if options.only else MEASURED:
            measure(name)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, panels in PICTURES.items():
        try:
            found = panels()
        except FileNotFoundError as error:
            sys.stderr.write(f"{name}.png stays as it is: {error}\n")
            continue
        (FOLDER / f"{name}.png").write_bytes(drawn(found, name in _SORTED))
    if DEMO.exists():
        (FOLDER / "demo.png").write_bytes(demo())
    else:
        sys.stderr.write(f"demo.png stays as it is: no {DEMO}\n")


if __name__ == "__main__":
    main()
