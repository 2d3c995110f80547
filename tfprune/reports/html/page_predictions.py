"""The section of a page about predictions: confusion matrices, errors."""

import numpy as np

from tfprune.core import tables
from tfprune.reports import answers
from tfprune.reports.html import markup
from tfprune.reports.html import page_parts
from tfprune.reports.html import svg_panels

_MOST_CLASSES = 16  # Larger matrices have no numbers in the cells.
_LONG = 4  # Characters of a name that fit above a cell.
_PAIRS = 15
_BINS = 31
_MOST = (0.002, 0.998)  # Quantiles of the errors between which bars are drawn.


def outcomes(page):
    """The confusion matrix of a classifier, or the errors of a regression."""
    if not page.outcomes:
        return None
    several = len(page.outcomes) > 1
    parts = []
    for found in page.outcomes:
        if several:
            parts.append(markup.tag("h3", f"Output {found.name}"))
        if isinstance(found, answers.Confusion):
            parts += _confusion(found, page)
        else:
            parts += _errors(found, page)
    return markup.tag("div", parts)


def _sides(found):
    sides = [("before", found.before), ("after", found.after)]
    if found.after is None:
        return [("", found.before)]
    return sides


def _confusion(found, page):
    right = [
        f"{side or 'all'}: {np.trace(m):,} of {m.sum():,} correct "
        f"({np.trace(m) / max(m.sum(), 1):.2%})"
        for side, m in _sides(found)
    ]
    yield page_parts.note(
        "Rows are true classes, columns predicted ones. "
        + "; ".join(right)
        + "."
    )
    small = len(found.labels) <= _MOST_CLASSES
    draw = _matrix if small else _heat
    yield markup.tag(
        "div",
        [draw(found, side, matrix) for side, matrix in _sides(found)],
        class_="panels wide" if small else "panels",
    )
    yield _pairs(found)


def _matrix(found, side, matrix):
    totals = np.maximum(matrix.sum(1, keepdims=True), 1)
    shares = matrix / totals

    def cell(row, column):
        count, share = int(matrix[row, column]), shares[row, column]
        style = "hit" if row == column else "miss"
        told = (
            f"{found.labels[row]} predicted as {found.labels[column]}: "
            f"{count:,} ({share:.1%} of its samples)"
        )
        return markup.tag(
            "td",
            f"{count:,}" if count else "·",
            class_=f"mark {style}",
            style=f"--share:{share:.3f}",
            data_told=told,
        )

    caption = f"Confusion matrix{f', {side}' if side else ''}"
    table = markup.tag(
        "table",
        markup.tag("caption", caption),
        markup.tag(
            "thead",
            markup.tag(
                "tr",
                markup.tag("td"),
                [markup.tag("th", name, scope="col") for name in found.labels],
            ),
        ),
        markup.tag(
            "tbody",
            [
                markup.tag(
                    "tr",
                    markup.tag("th", name, scope="row"),
                    [cell(i, j) for j in range(len(found.labels))],
                )
                for i, name in enumerate(found.labels)
            ],
        ),
        class_="confusion long" if _are_long(found.labels) else "confusion",
    )
    return markup.tag(
        "div",
        table,
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption,
    )


def _are_long(labels):
    """Whether names above columns stand upright, or the cells would widen."""
    return max(map(len, labels)) > _LONG


def _heat(found, side, matrix):
    """A heat map with a cell for each pair of classes that occurs."""
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    count = len(found.labels)
    fields = [
        markup.tag(
            "g",
            markup.tag(
                "title",
                f"{found.labels[i]} predicted as {found.labels[j]}: "
                f"{matrix[i, j]:,} ({shares[i, j]:.1%} of its samples)",
            ),
            markup.tag(
                "rect",
                x=j,
                y=i,
                width=1,
                height=1,
                class_="hit" if i == j else "miss",
                style=f"--share:{max(shares[i, j], 0.15):.2f}",
            ),
            class_="mark",
        )
        for i, j in np.argwhere(matrix).tolist()
    ]
    caption = f"Confusion matrix{f', {side}' if side else ''}"
    return markup.tag(
        "figure",
        markup.tag("figcaption", markup.tag("b", caption)),
        markup.tag(
            "svg",
            markup.tag("title", caption),
            markup.tag(
                "desc",
                f"{count} classes. The diagonal holds correct predictions. The "
                "table below lists the most confused pairs.",
            ),
            markup.tag("rect", width=count, height=count, class_="field"),
            fields,
            viewBox=f"0 0 {count} {count}",
            role="img",
            tabindex=0,
            class_="chart heat",
        ),
        class_="panel",
    )


def _pairs(found):
    """The most confused pairs of classes, before and after."""
    sides = [matrix for _, matrix in _sides(found)]
    worst = np.array(sides[-1], float)
    np.fill_diagonal(worst, 0)
    order = np.argsort(-worst, axis=None, kind="stable")[:_PAIRS]
    rows = []
    for i, j in zip(*np.unravel_index(order, worst.shape), strict=True):
        if worst[i, j]:
            counts = (tables.number(int(matrix[i, j])) for matrix in sides)
            rows.append((found.labels[i], found.labels[j], *counts))
    if not rows:
        return page_parts.note("No sample is misclassified.")
    header = (
        "class",
        "predicted as",
        *(side or "samples" for side, _ in _sides(found)),
    )
    return page_parts.folded(
        "Most confused classes",
        page_parts.table(header, rows, "Most confused classes", left=2),
    )


def _errors(found, page):
    sides = _sides(found)
    finite = [values[np.isfinite(values)] for _, values in sides]
    everything = np.concatenate(finite)
    # Outliers would squeeze all others into one bin.
    low, high = np.quantile(everything if everything.size else [0], _MOST)
    edges = np.linspace(low, max(high, low + 1e-12), _BINS + 1)
    heights = [
        np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
        for values in finite
    ]
    top = max(int(h.max()) for h in heights)
    panels = [
        _histogram(found, side, edges, h, top, values)
        for (side, values), h in zip(sides, heights, strict=True)
    ]
    told = (
        "Prediction minus truth. The outermost bars include all values beyond."
    )
    lost = sum(len(values) for _, values in sides) - len(everything)
    if lost:
        told += f" {lost:,} values are NaN or infinite, and in no bar."
    yield page_parts.note(told)
    yield page_parts.grid(panels)
    rows = [
        (
            side or "all",
            f"{len(values):,}",
            f"{np.abs(values).mean():.4g}",
            f"{np.sqrt(np.square(values).mean()):.4g}",
            f"{values.mean():.4g}",
            f"{np.abs(values).max():.4g}",
        )
        for side, values in sides
    ]
    header = (
        "",
        "values",
        "mean absolute error",
        "root mean squared error",
        "mean error",
        "largest error",
    )
    yield page_parts.table(header, rows, "Errors")


def _histogram(found, side, edges, heights, top, values):
    panel = svg_panels.Panel(
        f"Errors of {found.name}{f', {side}' if side else ''}",
        (edges[0], edges[-1]),
        (0, top * 1.06),
        "prediction minus truth",
        "values",
    )
    panel.bars(edges, heights, side or "after")
    panel.bands(
        [
            ((a + b) / 2, f"{a:.3g} to {b:.3g}: {count:,}")
            for a, b, count in zip(edges[:-1], edges[1:], heights, strict=True)
        ]
    )
    return panel.figure(
        f"Mean absolute error {np.abs(values).mean():.4g} over "
        f"{len(values):,} values."
    )
