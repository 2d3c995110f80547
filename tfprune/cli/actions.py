"""What the commands do: from paths and flags to the text to print."""

import importlib
import json
import os
import sys

import tfprune
from tfprune.cli import storage
from tfprune.core import atomic
from tfprune.core import tables
from tfprune.plots import drawings
from tfprune.reports import catalogue
from tfprune.selection import budget as budget_lib
from tfprune.surgery import pruning
from tfprune.surgery import shrinking
from tfprune.surgery import verification


def inspect(paths, values):
    drawing = values.picture and drawings.writable(values.picture)
    model = load(paths[0], values)
    report = tfprune.profile(model, input_shape=values.input_shape)
    graph = tfprune.channel_graph(model, values.input_shape)
    groups = graph.groups
    if drawing:
        tfprune.plots.draw_groups(graph, drawing)
    if values.format == "json":
        return as_json(report.to_dict() | {"groups": [*map(_facts, groups)]})
    rows = tuple(
        (
            _some(g["made_by"]) or "the input",
            _some(g["read_by"]),
            g["kept_because"],
        )
        + (tables.number(g["channels"]),)
        for g in map(_facts, groups)
    )
    header = ("made by", "read by", "kept because", "channels")
    table = tables.Table(header, rows, left=3)
    return f"{written(report, values)}\n{written(table, values)}"


def prune(paths, values):
    out = storage.model_path(values.out, paths)
    picture = values.plot and atomic.writable(values.plot)
    budget, data = _budget(values), storage.load_arrays(values.data)
    dense = load(paths[0], values)
    shape = values.input_shape
    cut = pruning.plan(
        dense,
        budget,
        values.criterion,
        data,
        values.ranking,
        input_shape=shape,
        allow_inexact=values.allow_inexact,
        min_channels=values.min_channels,
        channel_multiple=values.channel_multiple,
        target=values.target,
        skip=values.skip,
    )
    small = shrinking.apply(cut)
    if cut.graph.inexact:
        verification.warn_of_change(cut, small)
    report = tfprune.compare(dense, small, input_shape=shape)
    if picture:
        tfprune.plots.channels_plot(cut.graph, cut.keep, picture)
    storage.save_model(small, out)
    return written(report, values)


def strip(paths, values):
    out = storage.model_path(values.out, paths)
    model = load(paths[0], values)
    small = tfprune.strip(model, verify=values.verify)
    report = tfprune.compare(model, small, input_shape=values.input_shape)
    storage.save_model(small, out)
    return written(report, values)


def compare(paths, values):
    data = storage.load_arrays(values.data)
    dense, small = (load(path, values) for path in paths)
    report = tfprune.compare(dense, small, data, values.input_shape)
    return written(report, values)


def sensitivity(paths, values):
    picture = values.plot and atomic.writable(values.plot)
    data = storage.load_arrays(values.data)
    model = load(paths[0], values)
    curves = tfprune.sensitivity(
        model,
        data,
        tuple(map(float, values.ratios)),
        values.criterion,
        groups=tuple(values.groups),
    )
    if picture:
        tfprune.plots.sensitivity_plot(curves, picture)
    if values.format == "json":
        return curves.to_json()
    return written(curves.table(), values)


def search(paths, values):
    out = storage.model_path(values.out, paths)
    others = [
        path and atomic.writable(path) for path in (values.plot, values.trials)
    ]
    limits = _limits(values)
    budget = tfprune.Budget(**limits) if limits else None
    parts = {
        name: storage.load_arrays(values[name].value)
        for name in ("data", "recalibrate", "reconstruct")
    }
    model = load(paths[0], values)
    names = ("evaluations", "reward", "criterion", "limit", "seed")
    names += ("checkpoint", "skip", "target")
    names += ("min_channels", "channel_multiple")
    found = tfprune.search(
        model,
        budget=budget,
        strategy=values.strategy,
        **parts,
        progress=values.format == "text",
        **{name: values[name].value for name in names},
    )
    picture, trials = others
    if picture:
        tfprune.plots.search_plot(found, picture)
    if trials:
        found.save(trials)
    report = tfprune.compare(
        model, found.model, parts["data"], values.input_shape
    )
    storage.save_model(found.model, out)
    if values.format == "json":
        return as_json(report.to_dict() | {"search": found.to_dict()})
    return written(report, values)


def criteria(paths, values):
    table = catalogue.criteria()
    if values.format == "json":
        rows = [dict(zip(table.header, r, strict=True)) for r in table.rows]
        return as_json(rows)
    return written(table, values)


def load(path, values):
    """The model of a file, as the flags say that it is to be read."""
    if values.modules:
        # A console script does not look into the folder it is started in.
        sys.path.insert(0, os.getcwd())
    for module in values.modules:
        importlib.import_module(module)
    return storage.load_model(path, values.allow_lambda)


def _budget(values):
    limits = _limits(values)
    if (values.ratio is None) == (not limits):
        raise ValueError(
            f"Either a budget ({', '.join(f'--{n}' for n in _LIMITS)}) or "
            "--ratio must say how much goes. Received: "
            f"{'both' if limits else 'neither'}. Try --macs=0.5."
        )
    return tfprune.Budget(**limits) if limits else values.ratio


def _limits(values):
    given = {n: values[n].value for n in _LIMITS if n in values}
    return {k: v for k, v in given.items() if v is not None}


def _facts(group):
    """A group of channels that are removed together, as plain data."""
    layer, reason = group.frozen or ("", "")
    return {
        "made_by": group.writers,
        "read_by": group.readers,
        "kept_because": f"{reason} ({layer})" if reason else "",
        "channels": len(group),
    }


def _some(names, limit=3):
    rest = len(names) - limit
    more = (f"{rest} more",) if rest > 0 else ()
    return ", ".join((*names[:limit], *more))


def written(report, values):
    """A report as `--format` wants it."""
    return _FORMATS[values.format](report)


def as_json(facts):
    """Facts as `--format=json` writes them."""
    return json.dumps(facts, indent=2) + "\n"


# Latency needs a table of the machine that it is about.
_LIMITS = [name for name in budget_lib.LIMITS if name != "latency"]
_LIMITS.append("depth")
_FORMATS = {
    "text": lambda report: report.to_text(),
    "markdown": lambda report: report.to_markdown(),
    "json": lambda report: report.to_json(),
}
