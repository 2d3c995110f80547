"""Draws the pictures of examples/README.md from the results in docs/results.

    python -m tools.draw_examples

A bar for each method, the mean over seeds, and a point for each seed; each
reads the rows that the script of the same name measured.
"""

import collections
import json
import statistics

import numpy as np

from tfprune.plots import style
from tools import source_tree

RESULTS = source_tree.ROOT / "docs" / "results"
FOLDER = source_tree.ROOT / "docs" / "images" / "examples"


def _rows(name):
    return json.loads((RESULTS / f"{name}.json").read_text())


def _percent(value):
    return value if value > 1 else 100 * value


def prune():
    """`{panel: {method: accuracies}}` of criteria after fine-tuning."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for row in _rows("minicifar_criteria"):
        panel = f"{row['budget']:.0%} of the MACs: accuracy, %"
        found[panel][row["criterion"]].append(_percent(row["accuracy"]))
    return found


def compare_criteria():
    """The same before and after fitting what is left, nothing trained."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for row in _rows("criteria_resnet20"):
        if row["ranking"] == "group":
            for step, accuracy in row["accuracy"].items():
                found[f"{step}, %"][row["criterion"]].append(_percent(accuracy))
    return found


def fit_pruning():
    """Accuracy of each method inside `fit`."""
    found = collections.defaultdict(list)
    for row in _rows("fit_pruning"):
        found[row["method"]].append(_percent(row["accuracy"]))
    return {"ResNet-20 on MiniCIFAR: accuracy, %": found}


def lenet5_autoprune():
    """Times fewer weights, and accuracy, by strength."""
    factor, accuracy = (collections.defaultdict(list) for _ in range(2))
    rows = _rows("lenet5_autoprune")
    for row in sorted(rows, key=lambda row: row["mu"]):
        name = f"mu {row['mu']}"
        factor[name].append(row["factor"])
        accuracy[name].append(_percent(row["accuracy"]))
    return {"weights, times fewer": factor, "accuracy, %": accuracy}


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


PICTURES = {
    "prune": prune,
    "compare_criteria": compare_criteria,
    "fit_pruning": fit_pruning,
    "fit_board": fit_board,
    "lenet5_autoprune": lenet5_autoprune,
}


def drawn(panels):
    """A `matplotlib.figure.Figure` with a panel for each of `panels`."""
    names = list(dict.fromkeys(n for panel in panels.values() for n in panel))
    size = (2.6 * len(panels) + 1.4, 0.28 * len(names) + 1)
    with style.used():
        figure, ((*grid,),) = style.panels(1, len(panels), size)
        place = np.arange(len(names))
        for axes, (title, values) in zip(grid, panels.items(), strict=True):
            means = [statistics.fmean(values.get(n) or [0]) for n in names]
            axes.barh(place, means, color="#a9b8cc", height=0.7)
            for i, name in enumerate(names):
                points = values.get(name, [])
                axes.plot(points, [i] * len(points), ".", color="#24303c")
            every = [x for points in values.values() for x in points]
            if 1.6 * min(every) > max(every):
                margin = max(0.1 * (max(every) - min(every)), 0.5)
                axes.set_xlim(min(every) - 3 * margin, max(every) + margin)
            axes.set_title(title)
            axes.set_yticks(place, names if axes is grid[0] else [])
            axes.invert_yaxis()
        return style.encoded(figure)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, panels in PICTURES.items():
        (FOLDER / f"{name}.png").write_bytes(drawn(panels()))


if __name__ == "__main__":
    main()
