"""Draws the records: accuracy against size, beside published figures.

Size is parameters, or multiply-adds where no parameters were published.
"""

import math

import record_files

from tfprune.plots import style

# Of panels beside each other, so that a page's width leaves them legible.
_MOST_COLUMNS = 3


def draw(done, dense, path):
    """Draws finished records into a file.

    Args:
        done: `dict` from the name of each record to its metrics.
        dense: `dict` from the name of a network to its accuracy on the test
            images, before pruning; of those that are known.
        path: `str` or path-like, the file: .png, .svg or .pdf.
    """
    path = style.writable(path)
    with style.used():
        style.write(_figure(done, dense), path)


def _figure(done, dense):
    entries = record_files.by_entry(done)
    columns = min(len(entries), _MOST_COLUMNS)
    rows = math.ceil(len(entries) / columns)
    size = 4.2 * columns, 4.0 * rows
    figure, panels = style.panels(rows, columns, size)
    for axes, (entry, runs) in zip(panels.flat, entries.items(), strict=False):
        _panel(axes, entry, runs, dense)
    for axes in panels.flat[len(entries) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel("accuracy on the test images, %")
    return figure


def _panel(axes, entry, runs, dense):
    ours, theirs = style.series(2)
    first, published = runs[0], runs[0]["published"]
    key = "params" if "params" in published else "macs"
    name, unit = {
        "params": ("thousand parameters", 1e3),
        "macs": ("million multiply-adds", 1e6),
    }[key]
    whole = first[f"dense_{key}"]
    share = published.get(key, 1)
    count = share if share > 1 else share * whole
    points = {
        "pruned here, one point a seed": (
            [run[key] / unit for run in runs],
            [run["test_accuracy"] for run in runs],
            ours["color"],
            "o",
        ),
        published["source"]: (
            [count / unit],
            [published["accuracy"]],
            theirs["color"],
            "D",
        ),
    }
    for label, (x, y, color, mark) in points.items():
        height = [100 * value for value in y]
        axes.plot(x, height, mark, color=color, label=label, zorder=3)
    lines = {
        "goal": (first["goal"], style.FIXED, ":"),
        f"dense, {published['source']}": (
            published.get("dense"),
            theirs["color"],
            "--",
        ),
        "dense here": (dense.get(first["network"]), ours["color"], "--"),
    }
    for label, (value, color, dash) in lines.items():
        if value is not None:
            axes.axhline(
                100 * value,
                color=color,
                linestyle=dash,
                linewidth=0.9,
                label=label,
            )
    axes.set_title(f"{entry}: {whole / unit:,.0f} {name} dense")
    axes.set_xlim(0, 1.02 * whole / unit)
    axes.margins(y=0.2)
    axes.set_xlabel(name)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
