"""The command `tfprune inspect` for a .tflite file."""

import collections
import dataclasses

from tfprune.cli import printing
from tfprune.core import tables
from tfprune.export.file import contents
from tfprune.export.file import model_file


def inspect(path, values):
    """The text of `tfprune inspect file.tflite`; it needs no Keras."""
    file, ops = model_file.read(path), contents.ops(path)
    if values.format == "json":
        facts = dataclasses.asdict(file)
        return printing.as_json(facts | {"steps": [*map(vars, ops)]})
    drawn = [_totals(file, ops), _ends(file), _kinds(file, ops)]
    if values.layers:
        drawn.append(_steps(ops))
    return printing.shown(drawn, values)


def _totals(file, ops):
    further = any(op.inner and op.macs for op in ops)
    rows = (
        ("file bytes", tables.number(file.file_bytes)),
        ("weight bytes", tables.number(sum(op.weight_bytes for op in ops))),
        (
            "MACs, each graph once" if further else "MACs",
            tables.number(sum(op.macs or 0 for op in ops)),
        ),
        ("ops", tables.number(sum(file.ops.values()))),
    )
    return tables.Table((file.path, "total"), rows)


def _ends(file):
    """Inputs and outputs, with their scales and zero points."""
    rows = tuple(
        (
            side,
            tensor.name,
            tensor.dtype,
            "x".join(map(str, tensor.shape)),
            "-" if tensor.scale is None else f"{tensor.scale:.6g}",
            tables.number(tensor.zero_point),
        )
        for side in ("input", "output")
        for tensor in getattr(file, f"{side}s")
    )
    header = ("", "tensor", "type", "shape", "scale", "zero point")
    return tables.Table(header, rows, left=4)


def _kinds(file, ops):
    """A row for each kind of op."""
    weights, macs = collections.Counter(), collections.Counter()
    for op in ops:
        weights[op.name] += op.weight_bytes
        macs[op.name] += op.macs or 0
    counted = {op.name for op in ops if op.macs is not None}
    rows = tuple(
        (
            name,
            tables.number(count),
            tables.number(weights[name]),
            tables.number(macs[name] if name in counted else None),
        )
        for name, count in file.ops.items()
    )
    return tables.Table(("op", "count", "weight bytes", "MACs"), rows)


def _steps(ops):
    rows = tuple(
        (
            op.output,
            op.name,
            "x".join(map(str, op.shape)),
            op.dtype,
            tables.number(op.weight_bytes),
            tables.number(op.macs),
        )
        for op in ops
    )
    header = ("output", "op", "shape", "type", "weight bytes", "MACs")
    return tables.Table(header, rows, left=4)
