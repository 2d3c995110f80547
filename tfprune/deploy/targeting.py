"""Prunes until the int8 file fits a board, as measured on the file itself."""

import dataclasses
import numbers
import pathlib
import typing

import keras

from tfprune.core import cores
from tfprune.core import printed
from tfprune.core import tables
from tfprune.core import typed
from tfprune.core.files import atomic
from tfprune.core.files import leftovers
from tfprune.datasets import replays
from tfprune.deploy import core_cycles
from tfprune.deploy import latency
from tfprune.export.convert import calibration as calibrations
from tfprune.export.convert import signature as signatures
from tfprune.export.convert import states
from tfprune.export.convert import tflite
from tfprune.export.micro import firmware_folder
from tfprune.graph import read
from tfprune.selection import budget as budget_lib
from tfprune.selection import cut as cut_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import shrinking

_HEADINGS = {
    "flash_bytes": "flash",
    "ram_bytes": "RAM",
    "image_bytes": "image",
    "latency": "microseconds",
}
# As `tflite.export_tflite` takes them by default.
_SAMPLES = 256


@dataclasses.dataclass(frozen=True)
class Round:
    """One network, as it was predicted and as its file came out.

    Attributes:
        predicted, measured: `dict`s from the names of limits to bytes, and
            for `latency` to microseconds, or instructions of a `target`.
    """

    predicted: dict[str, float]
    measured: dict[str, float]

    def errors(self):
        """How far measurements exceed predictions, fractions by limit."""
        return {
            name: self.measured[name] / self.predicted[name] - 1
            for name in self.measured
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Fit(printed.Printed):
    """A model whose int8 file fits, as measured.

    Attributes:
        model: the pruned model, not fine-tuned.
        path: `str`, its int8 file.
        rounds: tuple of `Round`, the last of which fits.
        target: `str`, the core whose instructions are the latency, or `None`.
    """

    model: typing.Any
    path: str
    rounds: tuple[Round, ...]
    target: str | None = None

    def tables(self):
        """A list of one `tables.Table`."""
        return [self.table()]

    def table(self):
        """A `tables.Table` with a row for each round."""
        names = list(self.rounds[0].measured)
        headings = dict(_HEADINGS)
        if self.target is not None:
            headings["latency"] = "instructions"
        header, rows = ["round"], []
        for name in names:
            header += [f"{headings[name]} predicted", "measured", "error"]
        for number, found in enumerate(self.rounds, start=1):
            errors, row = found.errors(), [str(number)]
            for name in names:
                row += [
                    tables.number(round(found.predicted[name])),
                    tables.number(round(found.measured[name])),
                    f"{errors[name]:+.1%}",
                ]
            rows.append(tuple(row))
        return tables.Table(tuple(header), tuple(rows))


def fit_target(
    model: keras.Model,
    budget: budget_lib.Budget,
    calibration: typed.Data,
    path: typed.Path,
    criterion: typing.Any = "l1",
    data: typed.Data = None,
    rounds: int = 8,
    kernels: str = "auto",
    core: str | None = None,
    **options: typing.Any,
) -> Fit:
    """Prunes until the int8 file meets limits on flash, RAM and latency.

    Flash is the size of the array that `export_micro` writes, RAM the tensor
    arena that TFLite Micro needs with the chosen kernels, the image the array
    and the code that runs it, latency the time on TFLite on this machine, or
    with the budget's `target` the instructions on that core. A fraction of the
    time is relative to the dense model's int8 file, measured in alternation.
    Each round prunes by the prediction, exports, measures, and corrects the
    next prediction. The first file that fits is kept. Fine-tune the model
    afterwards and export it again. RAM depends only on shapes; flash may grow
    slightly, because identical tensors, such as the biases of an untrained
    model, are stored once.

    Args:
        model: a built `keras.Model` on the TensorFlow backend, or a model
            from `tfprune.wrap`, which is unwrapped first; not changed.
        budget: a `tfprune.Budget` with `flash_bytes`, `ram_bytes`,
            `image_bytes` or `latency`, whose table must be of int8 files;
            other limits apply too.
        calibration: as for `tfprune.export_tflite`.
        path: `str` or path-like, the .tflite file to write.
        criterion, data: as for `tfprune.prune`.
        rounds: `int`, maximum number of exports.
        kernels, core: the kernels and core to compute the arena for, as for
            `tfprune.export.arena_bytes`; by default the core of the budget's
            target or board, or else the maximum over all Cortex-M.
        **options: other arguments of `tfprune.prune`: `ranking`, `normalize`,
            `min_channels`, `channel_multiple`, `target`, `skip`.

    Returns:
        A `Fit`.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        ValueError: If the budget has none of these limits or cannot be met,
            or its latency table is not of int8 files.
        RuntimeError: If no file of `rounds` rounds fits, or export fails.

    Example:

    >>> board = tfprune.Budget(flash_bytes=51_200, ram_bytes=40_960)
    >>> fit = tfprune.fit_target(model, board, images, "model.tflite")
    >>> print(fit.table().to_text())
    """
    budget_lib.check(budget)
    if budget is None or not isinstance(rounds, numbers.Integral) or rounds < 1:
        raise ValueError(
            "A budget and a positive int of rounds are required. Received: "
            f"budget={budget!r}, rounds={rounds!r}."
        )
    limits = [name for name in budget.limits() if name in _HEADINGS]
    if not limits:
        raise ValueError(
            "A budget with `flash_bytes`, `ram_bytes`, `image_bytes` or "
            f"`latency` is required. Received: budget={budget}. For other "
            "limits use `tfprune.prune`."
        )
    if "latency" in limits and budget.latency_table.quantize != "int8":
        raise ValueError(
            "The latency table must be of int8 files. Received: a table with "
            f"quantize={budget.latency_table.quantize!r}. Use "
            "tfprune.deploy.latency_table(model, 'int8', calibration)."
        )
    path = atomic.writable(path)
    model = wrapping.plain(model)
    # Each round reads both anew, which a generator gives only once.
    calibration, data = _kept(calibration, model), replays.replayed(data)
    graph = read.channel_graph(model)
    core = core or budget.arena_core
    budget = dataclasses.replace(budget, core=core)
    meter = budget.meter(graph)
    ceilings = {k: budget.ceilings(meter)[k] for k in limits}
    aims, seen = dict(ceilings), []
    with leftovers.folder() as folder:
        folder = pathlib.Path(folder)
        file, dense = folder / "model.tflite", None
        if isinstance(budget.latency, float) and budget.target is None:
            dense = folder / "dense.tflite"
            tflite.export_tflite(model, dense, "int8", calibration)
        for _ in range(rounds):
            now = dataclasses.replace(
                budget,
                **{k: budget_lib.limit(k, n, meter) for k, n in aims.items()},
            )
            cut = cut_lib.choose(graph, now, criterion, data, **options)
            small = shrinking.apply(cut)
            tflite.export_tflite(
                *(small, file, "int8", calibration),
                kernels=cores.of_file(kernels, core and cores.get(core)),
            )
            found = Round(
                {name: getattr(meter, name)(cut.keep) for name in limits},
                {
                    name: _MEASURES[name](
                        file, dense, meter, kernels, core, budget.target
                    )
                    for name in limits
                },
            )
            seen.append(found)
            if all(found.measured[k] <= n for k, n in ceilings.items()):
                atomic.write({path: file.read_bytes()})
                return Fit(small, str(path), tuple(seen), budget.target)
            aims = {
                k: _aim(found, k, ceiling, aims[k])
                for k, ceiling in ceilings.items()
            }
    reached = ", ".join(f"{k} {v:,.0f}" for k, v in seen[-1].measured.items())
    raise RuntimeError(
        f"A file must fit within {rounds} rounds. Received: {budget}; "
        f"the last file takes {reached}. Raise `rounds` or the limits."
    )


def _kept(calibration, model):
    """The samples of a generator; what can be read several times as it is."""
    if not hasattr(calibration, "__next__"):
        return calibration
    inputs = signatures.of(states.one_by_one(model)).data_inputs
    return calibrations.samples(calibration, inputs, _SAMPLES)


def _flash(file, *_):
    return firmware_folder.array_bytes(file)


def _ram(file, dense, meter, kernels, core, *_):
    return firmware_folder.arena_bytes(file, kernels, core)


def _latency(file, dense, meter, kernels, core, target):
    if target is not None:
        return core_cycles.cycles(file, target).instructions
    if dense is None:
        return latency.measure([file])[0]
    # The machine may be slower now than when the table was made.
    whole, small = latency.measure([dense, file])
    return meter.latency() * small / whole


def _image(file, dense, meter, kernels, core, *_):
    return firmware_folder.image_bytes(file, kernels, core)


_MEASURES = {
    "flash_bytes": _flash,
    "ram_bytes": _ram,
    "image_bytes": _image,
    "latency": _latency,
}


def _aim(found, name, ceiling, before):
    """What to predict, so that what is measured is the ceiling."""
    if found.measured[name] <= ceiling:
        return before
    corrected = ceiling / (1 + found.errors()[name])
    if name == "latency":  # which may be less than a microsecond
        return corrected
    # A prediction that has been met has to fall by something.
    return max(1, min(int(corrected), int(before) - 1))
