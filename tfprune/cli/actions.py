"""What the commands do: from files and flags to the text to print."""

import dataclasses
import importlib
import inspect as inspect_lib
import pathlib
import shlex

import tfprune
from tfprune.cli import file_inspection
from tfprune.cli import flag_checks
from tfprune.cli import options
from tfprune.cli import printing
from tfprune.cli import storage
from tfprune.core import tables


def inspect(paths, values, given):
    if pathlib.Path(paths[0]).suffix == flag_checks.TFLITE:
        return file_inspection.inspect(paths[0], values)
    model = load(paths[0], values)
    report = tfprune.profile(model, input_shape=values.input_shape)
    graph = tfprune.channel_graph(model, values.input_shape)
    groups = [_facts(group) for group in graph.groups]
    if given["picture"]:
        tfprune.plots.draw_groups(graph, str(given["picture"]))
    if given["html"]:
        page = dataclasses.replace(
            report.page(), command=_again("inspect", paths, values)
        )
        page.write(given["html"])
    if values.format == "json":
        return printing.as_json(report.to_dict() | {"groups": groups})
    totals, *layers = report.tables()
    drawn = [totals, _groups(groups), *(layers if values.layers else ())]
    return printing.shown(drawn, values) + printing.unknown(report)


def prune(paths, values, given):
    dense = load(paths[0], values)
    limits = options.given_limits(values)
    small = tfprune.prune(
        dense,
        tfprune.Budget(**limits) if limits else values.ratio,
        values.criterion,
        given["data"],
        values.ranking,
        input_shape=values.input_shape,
        allow_inexact=values.allow_inexact,
        min_channels=values.min_channels,
        channel_multiple=values.channel_multiple,
        target=values.target,
        skip=values.skip,
    )
    found = tfprune.compare(dense, small, input_shape=values.input_shape)
    if given["plot"]:
        drawn = dense
        if values.input_shape:
            drawn = tfprune.channel_graph(dense, values.input_shape)
        tfprune.plots.channels_plot(drawn, small, given["plot"])
    storage.save_model(small, given["out"])
    return printing.report(found, values)


def strip(paths, values, given):
    model = load(paths[0], values)
    small = tfprune.strip(model, verify=values.verify)
    found = tfprune.compare(model, small, input_shape=values.input_shape)
    storage.save_model(small, given["out"])
    return printing.report(found, values)


def compare(paths, values, given):
    dense, small = (load(path, values) for path in paths)
    found = tfprune.compare(dense, small, given["data"], values.input_shape)
    if given["html"]:
        page = dataclasses.replace(
            found.page(), command=_again("compare", paths, values)
        )
        if given["data"] is not None:
            answers = tfprune.reports.outcomes([dense, small], given["data"])
            page = dataclasses.replace(page, outcomes=answers)
        page.write(given["html"])
    return printing.report(found, values)


def _again(name, paths, values):
    """The command line that reproduces the result."""
    flags = [values[f].serialize() for f in values if values[f].present]
    return shlex.join(["tfprune", name, *map(str, paths), *sorted(flags)])


def sensitivity(paths, values, given):
    model = load(paths[0], values)
    curves = tfprune.sensitivity(
        model,
        given["data"],
        tuple(values.ratios),
        values.criterion,
        values.metric,
        tuple(values.groups),
    )
    if given["plot"]:
        tfprune.plots.sensitivity_plot(curves, given["plot"])
    if values.format == "json":
        return curves.to_json()
    return printing.shown([curves.table()], values)


def search(paths, values, given):
    model = load(paths[0], values)
    limits = options.given_limits(values)
    names = ("evaluations", "reward", "criterion", "limit", "seed", "skip")
    names += ("target", "min_channels", "channel_multiple")
    parts = ("criterion_data", "recalibrate", "reconstruct", "checkpoint")
    try:
        found = tfprune.search(
            model,
            given["data"],
            tfprune.Budget(**limits) if limits else None,
            values.strategy,
            progress=values.format == "text",
            metric=values.metric,
            input_shape=values.input_shape,
            **{name: given[name] for name in parts},
            **{name: values[name].value for name in names},
        )
    except KeyboardInterrupt as error:
        checkpoint = given["checkpoint"]
        if not checkpoint or not pathlib.Path(checkpoint).exists():
            raise
        raise KeyboardInterrupt("the same command resumes") from error
    if given["plot"]:
        tfprune.plots.search_plot(found, given["plot"])
    if given["trials"]:
        found.save(given["trials"])
    report = tfprune.compare(
        model, found.model, given["data"], values.input_shape
    )
    storage.save_model(found.model, given["out"])
    if values.format == "json":
        return printing.as_json(report.to_dict() | {"search": found.to_dict()})
    return printing.report(report, values)


def load(path, values):
    """Loads a model from a file, as the flags say."""
    own = {}
    for name in values.modules:
        own |= _defined(importlib.import_module(name))
    isolated = values.isolated
    # What opens a file in isolation does not import modules.
    return storage.load_model(
        path, values.allow_lambda, isolated, None if isolated else own
    )


def _defined(module):
    """The classes and functions of a module, and of its package, by name.

    Keras takes a function by its name alone, so one that has the name of
    Keras's own must be registered.
    """
    # Here, as a .tflite file is inspected without Keras.
    import keras

    package = module.__name__.partition(".")[0]
    keras_own = (keras.activations, keras.losses, keras.metrics)
    return {
        name: thing
        for name, thing in vars(module).items()
        if inspect_lib.isclass(thing)
        or inspect_lib.isfunction(thing)
        and not any(hasattr(part, name) for part in keras_own)
        if thing.__module__.partition(".")[0] == package
    }


def _groups(groups):
    """The groups of channels as a table."""
    rows = tuple(
        (
            _some(g["made_by"]) or "the input",
            _some(g["read_by"]),
            g["kept_because"],
            tables.number(g["channels"]),
        )
        for g in groups
    )
    header = ("made by", "read by", "kept because", "channels")
    return tables.Table(header, rows, left=3)


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
