"""Plots of sensitivity, searches and accuracy-cost frontiers."""

import numpy as np

from tfprune.core import kinds
from tfprune.plots import style
from tfprune.reports import quantities
from tfprune.reports.html import page
from tfprune.searches import curves
from tfprune.searches import searching


def sensitivity_plot(sensitivity, path=None, title=None, chance=None):
    """Plots one curve per group: the metric over the removed fraction.

    Args:
        sensitivity: a `curves.Sensitivity`.
        path: `str` or path-like, the file to write: .png, .svg or .pdf;
            `None` writes nothing.
        title: `str`; by default the name of the model.
        chance: `float`, metric at chance level, drawn as a line.

    Returns:
        A `matplotlib.figure.Figure`, which notebooks show.

    Raises:
        ImportError: If matplotlib is missing.
        OSError: If the file cannot be written.
        ValueError: If the file extension is not one of these.

    Example:

    >>> curves = tfprune.sensitivity(model, (x_val, y_val))
    >>> tfprune.plots.sensitivity_plot(curves, "curves.png", chance=0.1)
    """
    cure = "Pass what tfprune.sensitivity returns."
    kinds.check("sensitivity", sensitivity, curves.Sensitivity, cure)
    title = title or sensitivity.model
    return _finished(path, lambda: _sensitivity(sensitivity, title, chance))


def search_plot(searches, path=None, title="search"):
    """Plots the accuracy of each trial, and the best so far as a line.

    Args:
        searches: a `searching.Search`, or a list of them; searches with one
            trial become horizontal lines.
        path: as for `sensitivity_plot`.
        title: `str`.

    Returns, Raises:
        As `sensitivity_plot`.

    Example:

    >>> found = tfprune.search(model, (x_val, y_val), macs=0.5)
    >>> tfprune.plots.search_plot(found, "search.png")
    """
    if not isinstance(searches, (list, tuple)):
        searches = [searches]
    if not searches:
        raise ValueError(
            "At least one search is required. Received: searches=[]. Pass "
            "what tfprune.search returns."
        )
    for found in searches:
        cure = "Pass what tfprune.search returns."
        kinds.check("searches", found, searching.Search, cure)
    return _finished(path, lambda: _searches(searches, title))


def frontier_plot(frontiers, path=None, title=None, dense=None):
    """Plots a metric against each cost, one panel per cost.

    Args:
        frontiers: a `tfprune.reports.Frontier`, or a `dict` of them by the
            name of a method. They share one metric.
        path: as for `sensitivity_plot`.
        title: `str`.
        dense: `float`, metric of the full model; if given, the plot shows how
            far the others lie below it.

    Returns, Raises:
        As `sensitivity_plot`; a `ValueError` if there are no points.

    Example:

    >>> point = tfprune.reports.FrontierPoint("half", 0.97, {"macs": 2_000})
    >>> frontier = tfprune.reports.Frontier("accuracy", (point,))
    >>> tfprune.plots.frontier_plot(frontier, "frontier.png", dense=0.98)
    """
    if not isinstance(frontiers, dict):
        frontiers = {"": frontiers}
    for found in frontiers.values():
        cure = "Make one of its points, or take that of tfprune.compress."
        kinds.check("frontiers", found, page.Frontier, cure)
    costs = dict.fromkeys(
        cost for f in frontiers.values() for p in f.points for cost in p.costs
    )
    if not costs:
        raise ValueError(
            "A frontier whose points have costs is required. Received: "
            f"frontiers={frontiers!r}."
        )
    return _finished(
        path, lambda: _frontiers(frontiers, list(costs), title, dense)
    )


def _finished(path, draw):
    path = None if path is None else style.writable(path)
    with style.used():
        figure = draw()
        if path is not None:
            style.write(figure, path)
    return figure


def _sensitivity(sensitivity, title, chance):
    curves = sensitivity.curves()
    size = (8, max(4.0, 0.22 * len(curves)))  # inches
    figure, ((axes,),) = style.panels(1, 1, size)
    looks = style.series(len(curves))
    lines, names = [], []
    for look, (group, curve) in zip(looks, curves.items(), strict=True):
        ratios = [0.0, *(point.ratio for point in curve)]
        values = [sensitivity.dense, *(point.value for point in curve)]
        names.append(f"{group} ({curve[0].channels})")
        lines += axes.plot(ratios, values, label=names[-1], **look)
    _level(axes, sensitivity.dense, f"dense {sensitivity.dense:.4g}")
    if chance is not None:
        _level(axes, chance, f"chance {chance:.4g}")
    axes.set_xlim(0, 1)
    axes.set_xlabel("fraction of the group's channels removed")
    axes.set_ylabel(sensitivity.metric)
    axes.set_title(title)
    # By handles, as names may begin with an underscore.
    figure.legend(
        lines, names, loc="outside right upper", title="group (channels)"
    )
    return figure


def _searches(searches, title):
    figure, ((axes,),) = style.panels(1, 1, (8, 4))
    longest = max(len(found.trials) for found in searches)
    looks = style.series(len(searches))
    for look, found in zip(looks, searches, strict=True):
        values = [trial.accuracy for trial in found.trials]
        best = np.fmax.accumulate(values)  # A trial may be NaN.
        color = look["color"]
        if len(values) == 1:
            axes.axhline(
                values[0],
                color=color,
                linestyle="--",
                label=f"{found.strategy}: its one trial",
            )
            continue
        numbers = range(1, len(values) + 1)
        axes.plot(
            numbers,
            values,
            linestyle="",
            marker=look["marker"],
            markersize=2.5,
            color=color,
            alpha=0.4,
        )
        axes.plot(
            numbers,
            best,
            color=color,
            label=f"{found.strategy}: best so far",
        )
    axes.plot([], [], "o", color=style.FIXED, markersize=2.5, label="a trial")
    axes.set_xlim(0, longest + 1)
    axes.set_xlabel("trial")
    axes.set_ylabel(f"{searches[0].metric} before fine-tuning")
    axes.set_title(title)
    figure.legend(loc="outside right upper")
    return figure


def _frontiers(frontiers, costs, title, dense):
    columns = 2 if len(costs) == 4 else min(len(costs), 3)
    rows = -(-len(costs) // columns)
    figure, panels = style.panels(rows, columns, (3.6 * columns, 3.1 * rows))
    looks, drawn = style.series(len(frontiers)), {}
    for axes in panels.flat[len(costs) :]:
        axes.set_visible(False)
    for axes, cost in zip(panels.flat, costs, strict=False):
        for look, (name, found) in zip(looks, frontiers.items(), strict=True):
            points = sorted(
                (point.costs[cost], _height(point.value, found, dense))
                for point in found.points
                if cost in point.costs
            )
            if points:
                x, y = zip(*points, strict=True)
                (line,) = axes.plot(x, y, linewidth=0.9, label=name, **look)
                # A method may have points in some panels only.
                drawn.setdefault(name, line)
        axes.set_xlabel(quantities.word(cost))
        if dense is not None:
            axes.axhline(0, color=style.FIXED, linestyle="--", linewidth=0.9)
    for axes in panels[:, 0]:
        axes.set_ylabel(_metric(frontiers, dense))
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    if any(frontiers):
        names = [name for name in frontiers if name and name in drawn]
        figure.legend(
            [drawn[name] for name in names], names, loc="outside right upper"
        )
    return figure


def _height(value, found, dense):
    factor = 100 if found.unit == "%" else 1
    return factor * (value if dense is None else dense - value)


def _metric(frontiers, dense):
    found = next(iter(frontiers.values()))
    if dense is None:
        return found.metric + (", %" if found.unit == "%" else "")
    points = ", points" if found.unit == "%" else ""
    return f"drop in {found.metric}{points}"


def _level(axes, value, text):
    axes.axhline(value, color=style.FIXED, linestyle="--", linewidth=0.9)
    axes.annotate(
        text,
        (1, value),
        xycoords=("axes fraction", "data"),
        xytext=(-3, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=style.FIXED,
    )
