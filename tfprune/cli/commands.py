"""What each command does, and how it explains itself."""

import dataclasses
import importlib
import json
import os
import sys

import tfprune
from tfprune import catalogue
from tfprune import pruning
from tfprune import tables
from tfprune.cli import options
from tfprune.cli import storage
from tfprune.export import files
from tfprune.graph import rebuild


@dataclasses.dataclass(frozen=True)
class Command:
    """One word after `tfprune`.

    Attributes:
        name: `str`, the word.
        paths: tuple of `str`, what the files after it are.
        summary: `str`, one line.
        text: `str`, what one should know before.
        examples: `str`, command lines.
        define: functions that define flags in an `absl.flags.FlagValues`.
        run: function from the paths and the flags to the text to print.
    """

    name: str
    paths: tuple
    summary: str
    text: str
    examples: str
    define: tuple
    run: object


def _inspect(paths, values):
    model = _load(paths[0], values)
    report = tfprune.profile(model, input_shape=values.input_shape)
    groups = tfprune.channel_graph(model, values.input_shape).groups
    if values.format == "json":
        return _json(report.to_dict() | {"groups": [*map(_facts, groups)]})
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
    return f"{_written(report, values)}\n{_written(table, values)}"


def _prune(paths, values):
    out = storage.model_path(values.out, paths)
    picture = values.plot and files.writable(values.plot)
    budget, data = _budget(values), storage.load_arrays(values.data)
    model = _load(paths[0], values)
    graph = tfprune.channel_graph(model, values.input_shape)
    keep = pruning.choose(
        graph,
        budget,
        values.criterion,
        data,
        values.ranking,
        min_channels=values.min_channels,
        channel_multiple=values.channel_multiple,
        skip=values.skip,
    )
    small = rebuild.shrink(graph, keep)
    report = tfprune.compare(model, small, input_shape=values.input_shape)
    if picture:
        tfprune.channels_plot(graph, keep, picture)
    storage.save_model(small, out)
    return _written(report, values)


def _strip(paths, values):
    out = storage.model_path(values.out, paths)
    model = _load(paths[0], values)
    small = tfprune.strip(model, verify=values.verify)
    report = tfprune.compare(model, small, input_shape=values.input_shape)
    storage.save_model(small, out)
    return _written(report, values)


def _export(paths, values):
    out = storage.output_path(values.out, paths)
    calibration = storage.load_arrays(values.calibration)
    model = _load(paths[0], values)
    file = tfprune.export_tflite(
        model,
        out,
        values.quantize,
        calibration,
        interface=values.interface,
        input_shapes=values.input_shape,
    )
    facts = {
        "file": file.path,
        "file_bytes": file.file_bytes,
        "ops": file.ops,
        **(_sources(out, values) if values.micro else {}),
    }
    if values.format == "json":
        return _json(facts)
    facts["ops"] = ", ".join(f"{n} {op}" for op, n in file.ops.items())
    rows = [
        (name.replace("_", " "), v if isinstance(v, str) else tables.cell(v))
        for name, v in facts.items()
    ]
    return _written(tables.Table(("", "written"), tuple(rows), left=2), values)


def _sources(path, values):
    sources = tfprune.export_micro(
        path,
        values.micro,
        flash_bytes=values.flash_bytes,
        ram_bytes=values.ram_bytes,
    )
    return {
        "source": sources.source,
        "header": sources.header,
        "arena_bytes": sources.arena.required_bytes,
    }


def _compare(paths, values):
    data = storage.load_arrays(values.data)
    dense, small = (_load(path, values) for path in paths)
    report = tfprune.compare(dense, small, data, values.input_shape)
    return _written(report, values)


def _sensitivity(paths, values):
    picture = values.plot and files.writable(values.plot)
    data = storage.load_arrays(values.data)
    model = _load(paths[0], values)
    curves = tfprune.sensitivity(
        model,
        data,
        tuple(map(float, values.ratios)),
        values.criterion,
        groups=tuple(values.groups),
    )
    if picture:
        tfprune.sensitivity_plot(curves, picture)
    if values.format == "json":
        return curves.to_json()
    return _written(curves.table(), values)


def _criteria(paths, values):
    table = catalogue.criteria()
    if values.format == "json":
        rows = [dict(zip(table.header, r, strict=True)) for r in table.rows]
        return _json(rows)
    return _written(table, values)


def _load(path, values):
    if values.modules:
        # A console script does not look into the folder it is started in.
        sys.path.insert(0, os.getcwd())
    for module in values.modules:
        importlib.import_module(module)
    return storage.load_model(path, values.allow_lambda)


def _budget(values):
    names = [field.name for field in dataclasses.fields(tfprune.Budget)]
    limits = {k: values[k].value for k in names if values[k].value is not None}
    if (values.ratio is None) == (not limits):
        raise ValueError(
            f"Either a budget ({', '.join(f'--{name}' for name in names)}) or "
            "--ratio must say how much goes. Received: "
            f"{'both' if limits else 'neither'}. Try --macs=0.5."
        )
    return tfprune.Budget(**limits) if limits else values.ratio


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


def _written(report, values):
    return _FORMATS[values.format](report)


def _json(facts):
    return json.dumps(facts, indent=2) + "\n"


_FORMATS = {
    "text": lambda report: report.to_text(),
    "markdown": lambda report: report.to_markdown(),
    "json": lambda report: report.to_json(),
}

COMMANDS = (
    Command(
        "inspect",
        ("MODEL",),
        "Shows what a model costs, and which channels can be removed.",
        """
Each row of the second table is a layer. Each row of the third is a group of
channels that go together; groups that must stay say why.
""",
        """
tfprune inspect model.keras
tfprune inspect detector.h5 --input_shape=320,320,3 --format=json
""",
        (options.reading,),
        _inspect,
    ),
    Command(
        "prune",
        ("MODEL",),
        "Removes the channels that score lowest, until a budget is met.",
        """
The result is a plain Keras model with fewer channels. It has lost accuracy:
train it again for some epochs with model.fit. The file that is read is never
changed.
""",
        """
tfprune prune model.keras --macs=0.5 --out=small.keras
tfprune prune model.keras --params=100000 --criterion=l2 --skip=stem \\
    --out=small.keras --plot=channels.png
tfprune prune model.keras --ratio=0.3 --channel_multiple=8 --out=small.keras
tfprune prune model.keras --macs=25% --criterion=taylor --data=train.npz \\
    --out=small.keras
""",
        (
            lambda values: options.out(values, "the smaller model"),
            options.budget,
            options.selection,
            options.reading,
        ),
        _prune,
    ),
    Command(
        "strip",
        ("MODEL",),
        "Removes the channels that do not matter; the outputs stay the same.",
        """
For models with zeros in their weights, from tfprune or from any other tool:
channels that nobody reads are taken out. Without such zeros nothing changes.
""",
        """
tfprune strip sparse.keras --out=small.keras
""",
        (
            lambda values: options.out(values, "the smaller model"),
            options.verify,
            options.reading,
        ),
        _strip,
    ),
    Command(
        "export",
        ("MODEL",),
        "Writes a .tflite file, and C sources for a microcontroller.",
        """
int8 needs typical inputs to measure ranges on. With --micro the file runs on
the TFLite Micro interpreter here, which tells the size of its tensor arena.
""",
        """
tfprune export small.keras --out=small.tflite
tfprune export small.keras --quantize=int8 --calibration=images.npy \\
    --out=small.tflite --micro=firmware/model --ram_bytes=40000
""",
        (
            lambda values: options.out(values, "the .tflite file"),
            options.conversion,
            options.reading,
        ),
        _export,
    ),
    Command(
        "compare",
        ("DENSE", "SMALL"),
        "Shows two models side by side, layer by layer.",
        """
With data, the accuracy of both is measured: the share of samples whose
highest score is that of their class.
""",
        """
tfprune compare model.keras small.keras
tfprune compare model.keras small.keras --data=test.npz --format=markdown
""",
        (
            lambda values: options.data(values, "To measure accuracy on"),
            options.reading,
        ),
        _compare,
    ),
    Command(
        "sensitivity",
        ("MODEL",),
        "Shows the accuracy with each group of channels pruned alone.",
        """
Nothing is trained. Groups whose accuracy falls early are better left whole.
""",
        """
tfprune sensitivity model.keras --data=validation.npz
tfprune sensitivity model.keras --data=validation.npz --ratios=0.25,0.5,0.75 \\
    --groups="stage1_*" --plot=sensitivity.png
""",
        (
            lambda values: options.data(values, "To measure accuracy on"),
            options.curves,
            options.reading,
        ),
        _sensitivity,
    ),
    Command(
        "criteria",
        (),
        "Lists what can score channels: paper, data that are needed, cost.",
        "Each name is a value of --criterion.",
        "tfprune criteria --format=markdown",
        (),
        _criteria,
    ),
)
