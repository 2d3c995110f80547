"""Sections of a page about the whole network: costs, frontier, predictions."""

import numpy as np

from tfprune.core import tables
from tfprune.reports import answers
from tfprune.reports import quantities
from tfprune.reports.html import markup
from tfprune.reports.html import page_parts
from tfprune.reports.html import svg_panels

_HEADLINES = ("accuracy", "macs", "params", "flash_bytes", "ram_bytes")
_MOST_CLASSES = 16  # Larger confusion matrices have no numbers in the cells.
_PAIRS = 15
_BINS = 31


def verdict(page):
    """One line that says whether the network fits its limits."""
    limited = [q for q in page.quantities() if q.fits is not None]
    if not limited:
        return None
    broken = [q for q in limited if not q.fits]
    if not broken:
        names = "; ".join(q.label for q in limited)
        return markup.tag(
            "p", "✓ Fits: ", names, ".", class_="verdict good", role="status"
        )
    told = "; ".join(
        f"{q.label} {q.text(q.now)}, limit {q.text(q.limit)}" for q in broken
    )
    return markup.tag(
        "p", "✗ Does not fit: ", told, ".", class_="verdict bad", role="status"
    )


def summary(page):
    """The headline numbers as cards, then a table of all quantities."""
    found = page.quantities()
    cards = [
        _card(q) for q in found if q in page.measured or q.name in _HEADLINES
    ]
    if page.after is None and not page.measured:
        header, rows = ("quantity", "value"), []
    else:
        header, rows = ("quantity", "before", "after", "change", "limit"), []
    for q in found:
        name = markup.tag(
            "span",
            q.label,
            markup.tag("small", q.note, class_="soft") if q.note else None,
        )
        if len(header) == 2:
            rows.append((name, _value(q, q.before)))
        else:
            sides = (_value(q, q.before), _value(q, q.after))
            limit = "-" if q.limit is None else q.text(q.limit)
            rows.append((name, *sides, q.change or "-", limit))
    return markup.tag(
        "div",
        markup.tag("div", cards, class_="cards"),
        page_parts.folded(
            "All quantities", page_parts.table(header, rows, "All quantities")
        ),
        _unknown(page),
    )


def _unknown(page):
    unknown = dict(page.before.unknown)
    if page.after is not None:
        unknown |= page.after.unknown
    if not unknown:
        return None
    names = ", ".join(f"{k} ({v})" for k, v in unknown.items())
    return page_parts.note(
        f"Multiply-adds of layers without a rule are not counted: {names}."
    )


def _value(quantity, value):
    if quantity.name in quantities.SCORES and value is not None:
        return f"{value:.4f}"
    return quantity.text(value)


def _card(q):
    one = q.before is None or q.after is None
    # The unit stands once, behind the second number.
    old = "" if one else q.text(q.before)
    if q.unit != "%":
        old = old.removesuffix(f" {q.unit}")
    numbers = markup.tag(
        "p",
        None if one else markup.tag("span", old, class_="old"),
        None if one else markup.tag("span", " → ", aria_label="becomes"),
        markup.tag("b", q.text(q.now)),
        class_="numbers",
    )
    limit = None
    if q.fits is not None:
        word = "at least" if q.larger_is_better else "limit"
        limit = markup.tag(
            "p",
            "✓ " if q.fits else "✗ ",
            f"{word} {q.text(q.limit)}",
            class_="good" if q.fits else "bad",
        )
    drawn = None
    if not q.larger_is_better:
        widest = max(
            v for v in (q.before, q.after, q.limit, 0) if v is not None
        )
        sides = (None, q.now) if one else (q.before, q.after)
        drawn = page_parts.bar(*sides, widest, f"{q.label}: {q.text(q.now)}")
    return markup.tag(
        "div",
        markup.tag("h3", q.label),
        numbers,
        drawn,
        markup.tag("p", q.change, class_="soft") if q.change else None,
        limit,
        class_="card",
    )


def frontier(page):
    """The metric against each cost, a panel for each."""
    found = page.frontier
    if found is None or not found.points:
        return None
    costs = dict.fromkeys(c for point in found.points for c in point.costs)
    panels = [_against(found, cost, page) for cost in costs]
    metric = quantities.Quantity(found.metric, unit=found.unit)
    rows = [
        (
            point.name + (" (chosen)" if point.chosen else ""),
            metric.text(point.value),
            *(
                quantities.Quantity(cost).text(point.costs.get(cost))
                for cost in costs
            ),
        )
        for point in found.points
    ]
    header = ("network", found.metric, *map(quantities.word, costs))
    return markup.tag(
        "div",
        page_parts.grid(panels),
        page_parts.folded(
            "As a table", page_parts.table(header, rows, "Frontier")
        ),
    )


def _against(found, cost, page):
    word = quantities.word(cost)
    metric = quantities.Quantity(found.metric, unit=found.unit)
    points = sorted(
        (p for p in found.points if cost in p.costs),
        key=lambda p: p.costs[cost],
    )
    factor = 100 if found.unit == "%" else 1
    xs = [p.costs[cost] for p in points]
    ys = [factor * p.value for p in points]
    log = min(xs) > 0 and max(xs) > 20 * min(xs)
    low, high = (
        (min(xs) / 1.4, max(xs) * 1.4) if log else svg_panels.span(xs, 0.12)
    )
    unit = f", {found.unit}" if found.unit else ""
    panel = svg_panels.Panel(
        word,
        (low, high),
        svg_panels.span(ys, 0.12),
        word,
        f"{found.metric}{unit}",
        log,
    )
    panel.line(list(zip(xs, ys, strict=True)), "s-after thin")
    limits = [q.limit for q in page.measured if q.label == word and q.limit]
    for limit in limits:
        if low <= limit <= high:
            panel.divide(limit, "limit")
    # The chosen network comes first, so that its name finds a free place.
    for point, x, y in sorted(
        zip(points, xs, ys, strict=True), key=lambda row: not row[0].chosen
    ):
        told = (
            f"{point.name}\n{found.metric}: {metric.text(point.value)}\n"
            f"{word}: {quantities.Quantity(cost).text(x)}"
        )
        style = "chosen" if point.chosen else "after"
        panel.dot(x, y, style, told, point.name)
    return panel.figure(
        f"{len(points)} networks, from {word} {svg_panels.short(min(xs))} to "
        f"{svg_panels.short(max(xs))}; {found.metric} from "
        f"{svg_panels.short(min(ys))} to {svg_panels.short(max(ys))}."
    )


def quantization(page):
    """A bar for the signal-to-quantization-noise ratio of each tensor."""
    if page.quantization is None or not page.quantization.tensors:
        return None
    tensors = page.quantization.tensors
    finite = [t.sqnr for t in tensors if np.isfinite(t.sqnr)]
    widest = max(finite, default=1.0)
    worst = {t.name for t in page.quantization.worst(3)}
    rows = []
    for t in tensors:
        text = f"{t.sqnr:.1f}" if np.isfinite(t.sqnr) else "exact"
        told = (
            f"{t.name}\n{text} dB; relative error {t.error:.2%}; "
            f"{t.clipped:.2%} of the values clipped"
        )
        drawn = page_parts.bar(
            None, max(min(t.sqnr, widest), 0.0), max(widest, 1.0), told
        )
        cell = markup.tag(
            "div",
            text + (", worst" if t.name in worst else ""),
            drawn,
            class_="cost" + (" worst" if t.name in worst else ""),
        )
        rows.append((t.name, cell, f"{t.error:.2%}", f"{t.clipped:.2%}"))
    header = ("tensor", "SQNR, dB", "relative error", "clipped")
    return markup.tag(
        "div",
        page_parts.note(
            "Each tensor of the int8 file compared with the same tensor in "
            "float: the signal-to-quantization-noise ratio (SQNR); higher is "
            "better. Errors accumulate from layer to layer: look for the place "
            "where the ratio drops."
        ),
        markup.tag(
            "div",
            page_parts.table(header, rows, "Quantization error by tensor"),
            class_="tall",
        ),
    )


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
        class_="confusion",
    )
    return markup.tag(
        "div",
        table,
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption,
    )


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
    everything = np.concatenate([values for _, values in sides])
    # Outliers would squeeze all others into one bin.
    low, high = np.quantile(everything, (0.002, 0.998))
    edges = np.linspace(low, max(high, low + 1e-12), _BINS + 1)
    heights = [
        np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
        for _, values in sides
    ]
    top = max(int(h.max()) for h in heights)
    panels = [
        _histogram(found, side or "after", edges, h, top, values)
        for (side, values), h in zip(sides, heights, strict=True)
    ]
    yield page_parts.note(
        "Prediction minus truth. The outermost bars include all values beyond."
    )
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
        f"Errors of {found.name}, {side}",
        (edges[0], edges[-1]),
        (0, top * 1.06),
        "prediction minus truth",
        "values",
    )
    panel.bars(edges, heights, side)
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
