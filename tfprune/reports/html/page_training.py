"""Sections of a page about training and sensitivity."""

import dataclasses
import itertools
import math

import numpy as np

from tfprune.core import tables
from tfprune.reports.html import markup
from tfprune.reports.html import page_parts
from tfprune.reports.html import svg_panels

_VALIDATION = "val_"


def training(page):
    """A panel for each metric, over the epochs of all stages."""
    stages = [_of_numbers(stage) for stage in page.stages if _length(stage)]
    if not stages:
        return None
    starts = [0, *itertools.accumulate(map(_length, stages))]
    metrics = dict.fromkeys(
        name.removeprefix(_VALIDATION)
        for stage in stages
        for name in stage.history
    )
    panels = [_curves(metric, stages, starts) for metric in metrics]
    names = list(dict.fromkeys(n for s in stages for n in s.history))
    rows = [
        (
            f"{stage.name} {epoch + 1}",
            *(_number(stage.history.get(name), epoch) for name in names),
        )
        for stage in stages
        for epoch in range(_length(stage))
    ]
    return markup.tag(
        "div",
        page_parts.grid(panels),
        page_parts.folded(
            "As a table",
            markup.tag(
                "div",
                page_parts.table(("epoch", *names), rows, "Training"),
                class_="tall",
            ),
        ),
    )


def _length(stage):
    return max((len(values) for values in stage.history.values()), default=0)


def _of_numbers(stage):
    """The stage, with a history of numbers alone.

    A metric of several numbers, such as an F1 score by class, becomes as many.
    """
    history = {}
    for name, values in stage.history.items():
        rows = [np.ravel(math.nan if v is None else v) for v in values]
        count = max(map(len, rows), default=0)
        for i in range(count):
            key = name if count == 1 else f"{name} {i}"
            history[key] = [
                float(row[i]) if i < len(row) else math.nan for row in rows
            ]
    return dataclasses.replace(stage, history=history)


def _number(values, epoch):
    if values is None or epoch >= len(values):
        return "-"
    return f"{values[epoch]:.5g}"


def _curves(metric, stages, starts):
    kinds = ((metric, "training", "s-before"),)
    kinds += ((f"{_VALIDATION}{metric}", "validation", "s-after"),)
    lines, told = {}, {}
    for stage, start in zip(stages, starts, strict=False):
        for key, word, style in kinds:
            values = stage.history.get(key, [])
            epochs = range(start + 1, start + 1 + len(values))
            points = list(zip(epochs, values, strict=True))
            lines.setdefault((word, style), []).append(points)
            for epoch, value in points:
                hint = told.setdefault(
                    epoch, [f"{stage.name}, epoch {epoch - start}"]
                )
                hint.append(f"{word}: {value:.5g}")
    shown = {k: v for k, v in lines.items() if any(v)}
    values = [y for parts in shown.values() for part in parts for _, y in part]
    panel = svg_panels.Panel(
        metric,
        (0.5, starts[-1] + 0.5),
        svg_panels.span(values),
        "epoch",
        "",
    )
    for (_, style), parts in shown.items():
        for part in parts:
            if len(part) == 1:
                ((x, y),) = part
                part = [(x - 0.3, y), (x + 0.3, y)]
            panel.line(part, style)
    if len(stages) > 1:
        for stage, start in zip(stages, starts, strict=False):
            panel.divide(start + 0.5, stage.name, bool(start))
    panel.bands([(epoch, "\n".join(told[epoch])) for epoch in sorted(told)])
    last = "; ".join(
        f"{word} ends at {parts[-1][-1][1]:.4g}"
        for (word, _), parts in shown.items()
        if parts[-1]
    )
    return panel.figure(
        f"{metric} over {starts[-1]} epochs: {last}.",
        [(word, style) for word, style in shown],
    )


def sensitivity(page):
    """A small panel for each group, the most sensitive first."""
    found = page.sensitivity
    if found is None or not found.points:
        return None
    curves = found.curves()
    values = [p.value for p in found.points] + [found.dense]
    if page.chance is not None:
        values.append(page.chance)
    limits = svg_panels.span(values)

    def area(curve):
        return sum(found.dense - point.value for point in curve) / len(curve)

    order = sorted(curves, key=lambda name: -area(curves[name]))
    panels = [
        _group(name, curves[name], found, limits, page.chance) for name in order
    ]
    ratios = sorted({point.ratio for point in found.points})
    rows = []
    for name in order:
        at = {point.ratio: point.value for point in curves[name]}
        rows.append(
            (
                name,
                tables.number(curves[name][0].channels),
                *(found.text(at[r]) if r in at else "-" for r in ratios),
            )
        )
    header = ("group", "channels", *(f"-{tables.ratio(r)}" for r in ratios))
    return markup.tag(
        "div",
        page_parts.note(
            f"{found.metric[:1].upper()}{found.metric[1:]} with only one group "
            "of channels pruned, "
            "without fine-tuning; the most sensitive group comes first. The "
            "dashed line is the unpruned network"
            + ("." if page.chance is None else ", the dotted one is chance.")
        ),
        markup.tag("div", panels, class_="panels small"),
        page_parts.folded(
            "As a table", page_parts.table(header, rows, "Sensitivity")
        ),
    )


def _group(name, curve, found, limits, chance):
    panel = svg_panels.Panel(
        name,
        (0, 1),
        limits,
        "share removed",
        f"{curve[0].channels} channels",
        size=(230, 150),
    )
    panel.level(found.dense, "", "level")
    if chance is not None:
        panel.level(chance, "", "level chance")
    points = [(0.0, found.dense), *((p.ratio, p.value) for p in curve)]
    panel.line(points, "s-after")
    panel.bands(
        [
            (
                p.ratio,
                f"{name}\n{p.kept} of {p.channels} channels kept\n"
                f"{found.metric}: {found.text(p.value)}",
            )
            for p in curve
        ]
    )
    return panel.figure(
        f"{found.metric} falls from {found.text(found.dense)} to "
        f"{found.text(curve[-1].value)} with {tables.ratio(curve[-1].ratio)} "
        f"of {name} removed."
    )
