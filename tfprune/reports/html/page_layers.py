"""Sections of a page about layers: channels, costs and memory over time."""

import collections

import numpy as np

from tfprune.core import tables
from tfprune.reports import quantities
from tfprune.reports.html import legends
from tfprune.reports.html import markup
from tfprune.reports.html import page_parts
from tfprune.reports.html import svg_panels

_COSTS = ("macs", "params", "weight_bytes", "peak_bytes")
_ALIVE = 4  # Tensors that a hint names.


def channels(page):
    """A strip for each layer that shows which channels are kept."""
    rows = _kept(page)
    if not rows:
        return None
    items = [
        markup.tag(
            "li",
            markup.tag("span", strip.layer, class_="name"),
            _drawn(strip, kept, _story(strip, kept)),
            markup.tag("span", _count(strip, kept), class_="count"),
        )
        for strip, kept in rows
    ]
    return markup.tag(
        "div",
        page_parts.note(_about(page)),
        legends.fields(*_states(page)),
        markup.tag("ol", items, class_="strips"),
        page_parts.folded(
            "As a table: coupled layers, and why some channels must stay",
            _together(rows),
        ),
    )


def _states(page):
    """The styles of channels and what they mean, for a legend."""
    if page.after is None:
        return (("kept", "can be removed"), ("fixed", "must stay"))
    return (("kept", "kept"), ("removed", "removed"), ("fixed", "must stay"))


def _together(rows):
    """A table with one row for each set of coupled layers."""
    cells, seen = {}, collections.Counter()
    for strip, kept in rows:
        layers = sorted({strip.layer, *strip.coupled})
        count = _count(strip, kept)
        fixed = tables.number(int(strip.fixed.sum()))
        # Coupled layers have as many sets each, one after the other.
        key = (*layers, count)
        seen[strip.layer, key] += 1
        cells.setdefault(
            (key, seen[strip.layer, key]),
            (
                ", ".join(layers),
                ", ".join(strip.read_by) or "-",
                "; ".join(strip.reasons) or "-",
                count,
                fixed,
            ),
        )
    header = (
        "coupled layers",
        "read by",
        "why some must stay",
        "kept",
        "must stay",
    )
    return page_parts.table(header, list(cells.values()), "Channels", left=3)


def _count(strip, kept):
    guess = "any " * strip.guessed
    return f"{guess}{int(kept.sum()):,} of {len(kept):,}"


def _kept(page):
    """Pairs of a `Strip` of the original network and its kept channels."""
    if page.channels:
        return [(strip, strip.kept) for strip in page.channels]
    strips = page.before.channels
    if page.after is None:
        return [(strip, strip.kept) for strip in strips]
    left = {}
    for strip in page.after.channels:
        left.setdefault(strip.layer, []).append(len(strip.kept))
    rows = []
    for strip in strips:
        waiting = left.get(strip.layer)
        count = waiting.pop(0) if waiting else 0
        rows.append((strip, _first(strip.fixed, count)))
    return rows


def _first(fixed, count):
    """Marks `count` channels: those that must stay, then the first others."""
    order = np.argsort(~fixed, kind="stable")
    kept = np.zeros(len(fixed), bool)
    kept[order[:count]] = True
    return kept


def _about(page):
    hint = "Hover over a strip to see the coupled layers"
    if page.after is None:
        return (
            "The output channels of each layer. Those that must stay are grey. "
            f"{hint} and the reason."
        )
    if not page.channels:
        return (
            "The number of channels that each layer keeps. Which ones they "
            f"are cannot be told from the two networks. {hint}."
        )
    guessed = (
        " “any” means that the weights have been trained since, so only "
        "the number of channels is known."
    )
    return (
        "The output channels of each layer, in the order of its weights. "
        f"{hint}.{guessed * any(strip.guessed for strip in page.channels)}"
    )


def _story(strip, kept):
    lines = [f"{strip.layer}: {_count(strip, kept)} channels kept"]
    if strip.coupled:
        lines.append(f"Coupled with: {_some(strip.coupled)}")
    if strip.read_by:
        lines.append(f"Read by: {_some(strip.read_by)}")
    if strip.reasons:
        fixed = int(strip.fixed.sum())
        lines.append(f"{fixed:,} must stay: {_some(strip.reasons)}")
    return "\n".join(lines)


def _some(names, limit=5):
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def _drawn(strip, kept, told):
    """The channels side by side, scaled to the available width."""
    states = np.where(~kept, 0, np.where(strip.fixed, 1, 2))
    parts = [
        markup.tag("path", d=_runs(states == state), class_=style)
        for state, style in enumerate(("removed", "fixed", "kept"))
        if (states == state).any()
    ]
    return markup.tag(
        "svg",
        markup.tag("title", told),
        parts,
        viewBox=f"0 0 {len(kept)} 1",
        preserveAspectRatio="none",
        role="img",
        class_="strip mark",
    )


def _runs(where):
    """An SVG path with a rectangle for each run of true values."""
    edges = np.diff(np.concatenate([[0], where.astype(int), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return "".join(
        f"M{a} 0h{b - a}v1h-{b - a}z"
        for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
    )


def layers(page):
    """A table with a bar for each cost of each layer."""
    changes = _changes(page)
    if not changes:
        return None
    widest = {
        cost: max(
            getattr(side, cost) for row in changes for side in row[1:] if side
        )
        for cost in _COSTS
    }
    rows = []
    for layer, before, after in changes:
        side = before or after
        shapes = [tables.shape(s.output_shape) for s in (before, after) if s]
        name = markup.tag(
            "span",
            layer,
            markup.tag(
                "small",
                f"{side.op}, {' → '.join(dict.fromkeys(shapes))}",
                class_="soft",
            ),
        )
        cells = [
            _cost(layer, cost, before, after, widest[cost], page)
            for cost in _COSTS
        ]
        rows.append((name, *cells))
    header = ("layer", *(quantities.word(cost) for cost in _COSTS))
    note = (
        "Layers with weights or multiply-adds. Bytes are those of the model's "
        "own dtypes."
    )
    legend = [("before", "before"), ("after", "after")]
    return markup.tag(
        "div",
        page_parts.note(note),
        legends.fields(*legend) if page.after else None,
        markup.tag(
            "div",
            page_parts.table(header, rows, "Costs of each layer"),
            class_="tall",
        ),
    )


def _changes(page):
    """Tuples `(layer, before, after)` of layers with weights or MACs."""
    before = {row.layer: row for row in page.before.layers}
    after = {}
    if page.after is not None:
        after = {row.layer: row for row in page.after.layers}
    rows = [
        (path, before.get(path), after.get(path)) for path in before | after
    ]
    return [
        row
        for row in rows
        if any(side and (side.params or side.macs) for side in row[1:])
    ]


def _cost(layer, cost, before, after, widest, page):
    sides = [None if s is None else getattr(s, cost) for s in (before, after)]
    if page.after is None:
        text = tables.number(sides[0])
        drawn = (None, sides[0])
    else:
        texts = dict.fromkeys(map(tables.number, sides))
        text = " → ".join(texts)
        drawn = sides
    told = f"{layer}: {text} {quantities.word(cost)}"
    return markup.tag(
        "div", text, page_parts.bar(*drawn, widest, told), class_="cost"
    )


def memory(page):
    """The arena of the int8 file step by step, and its contents at the peak."""
    sides = [("before", page.before), ("after", page.after)]
    if page.after is None:
        sides = [("after", page.before)]
    sides = [(s, p) for s, p in sides if p is not None and p.timeline]
    if not sides:
        return None
    _, high = svg_panels.span(
        [m.bytes for _, p in sides for m in p.timeline], zero=True
    )
    panels = [_timeline(style, p, high, page) for style, p in sides]
    peaks = [_peak(style, p, page) for style, p in sides]
    return markup.tag(
        "div",
        page_parts.note(
            "The predicted tensor arena of the int8 file on TFLite Micro while "
            "the layers run: activations where the planner places them, and "
            "persistent records of the interpreter."
        ),
        page_parts.grid(panels),
        page_parts.grid(peaks),
    )


def _title(style, profile, page):
    return profile.name if page.after is None else f"{style}: {profile.name}"


def _timeline(style, profile, high, page):
    steps = range(len(profile.timeline))
    panel = svg_panels.Panel(
        _title(style, profile, page),
        (0, len(steps)),
        (0, high),
        "step",
        "int8 arena bytes, predicted",
    )
    loads = [moment.bytes for moment in profile.timeline]
    panel.line(list(zip(steps, loads, strict=True)), f"s-{style}", steps=True)
    fullest = max(steps, key=lambda step: profile.timeline[step].fullness)
    panel.level(loads[fullest], f"peak {loads[fullest]:,}")
    panel.bands(
        [
            (step + 0.5, _moment(moment))
            for step, moment in enumerate(profile.timeline)
        ]
    )
    return panel.figure(
        f"{len(steps)} steps. The peak is {loads[fullest]:,} bytes, while "
        f"{profile.timeline[fullest].running} runs."
    )


def _moment(moment):
    alive = sorted(moment.alive, key=lambda tensor: -tensor.bytes)
    lines = [f"{moment.running} runs: {moment.bytes:,} bytes"]
    lines += [
        f"{tensor.layer} ({tables.shape(tensor.shape)}): {tensor.bytes:,}"
        for tensor in alive[:_ALIVE]
    ]
    if len(alive) > _ALIVE:
        lines.append(f"and {len(alive) - _ALIVE} more")
    return "\n".join(lines)


def _peak(style, profile, page):
    moment = max(profile.timeline, key=lambda m: m.fullness)
    alive = sorted(moment.alive, key=lambda tensor: -tensor.bytes)
    rest = moment.bytes - sum(tensor.bytes for tensor in alive)
    rows = [
        (tensor.layer, tables.shape(tensor.shape), tables.number(tensor.bytes))
        for tensor in alive
    ]
    rows.append(("records of the interpreter, and gaps", "", f"{rest:,}"))
    rows.append(("total", "", f"{moment.bytes:,}"))
    caption = (
        f"{_title(style, profile, page)}, alive at the peak, while "
        f"{moment.running} runs"
    )
    return page_parts.table(("tensor", "shape", "bytes"), rows, caption, 2)
