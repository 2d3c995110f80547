"""Sections of a page about the whole network: costs, frontier, int8 error."""

import numpy as np

from tfprune.reports import quantities
from tfprune.reports.html import markup
from tfprune.reports.html import page_parts
from tfprune.reports.html import svg_panels

_HEADLINES = ("macs", "params", "flash_bytes", "ram_bytes")


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
    told = "; ".join(f"{q.label} {_over(q)}" for q in broken)
    return markup.tag(
        "p", "✗ Does not fit: ", told, ".", class_="verdict bad", role="status"
    )


def _over(q):
    """A number and its limit, with the digits by which they differ."""
    now, limit = q.text(q.now), q.text(q.limit)
    if now == limit:
        scale, unit = (100, "%") if q.unit == "%" else (1, q.unit)
        now, limit = (
            f"{scale * value:,.10g} {unit}".rstrip()
            for value in (q.now, q.limit)
        )
    return f"{now}, limit {limit}"


def summary(page):
    """The headline numbers as cards, then a table of all quantities."""
    found = page.quantities()
    qualities = page.before.qualities
    headlines = (*_HEADLINES, *qualities)
    cards = [
        _card(q) for q in found if q in page.measured or q.name in headlines
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
    if quantities.is_absolute(quantity.name) and value is not None:
        return quantities.absolute(quantity.name, value)
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
    ys = [y for y in ys if np.isfinite(y)] or ys
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
        # NaN where the float values, or the others, are not finite.
        text = "exact" if t.sqnr == np.inf else f"{t.sqnr:.1f}"
        told = (
            f"{t.name}\n{text} dB; relative error {t.error:.2%}; "
            f"{t.clipped:.2%} of the values clipped"
        )
        ratio = 0.0 if np.isnan(t.sqnr) else max(min(t.sqnr, widest), 0.0)
        drawn = page_parts.bar(None, ratio, max(widest, 1.0), told)
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
