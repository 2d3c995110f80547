"""Pruning until the int8 file fits a board, as measured on the file itself."""

import dataclasses
import pathlib
import tempfile

from tfprune import costs
from tfprune import pruning
from tfprune import tables
from tfprune.export import files
from tfprune.export import micro
from tfprune.export import tflite
from tfprune.graph import read
from tfprune.graph import rebuild

LIMITS = ("flash_bytes", "ram_bytes")


@dataclasses.dataclass(frozen=True)
class Round:
    """One network, as it was predicted and as its file came out, in bytes."""

    predicted_flash: int
    flash_bytes: int
    predicted_ram: int
    ram_bytes: int

    def errors(self):
        """How far measurements lie above predictions, shares by limit."""
        return {
            "flash_bytes": self.flash_bytes / self.predicted_flash - 1,
            "ram_bytes": self.ram_bytes / self.predicted_ram - 1,
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """A model whose int8 file was seen to fit.

    Attributes:
        model: the pruned model, not fine-tuned.
        path: `str`, its int8 file.
        rounds: tuple of `Round`, the last of which fits.
    """

    model: object
    path: str
    rounds: tuple

    def table(self):
        """A `tables.Table` with a row for each round."""
        rows = []
        for number, found in enumerate(self.rounds, start=1):
            errors = found.errors()
            rows.append(
                (
                    str(number),
                    tables.number(found.predicted_flash),
                    tables.number(found.flash_bytes),
                    f"{errors['flash_bytes']:+.1%}",
                    tables.number(found.predicted_ram),
                    tables.number(found.ram_bytes),
                    f"{errors['ram_bytes']:+.1%}",
                )
            )
        header = ("round", "flash predicted", "measured", "error")
        header += ("RAM predicted", "measured", "error")
        return tables.Table(header, tuple(rows))


def fit_target(
    model,
    budget,
    calibration,
    path,
    criterion="l1",
    data=None,
    rounds=8,
    **options,
):
    """Prunes a model until its int8 file keeps to limits on flash and RAM.

    Flash is the size of the file, RAM the tensor arena of the TFLite Micro
    interpreter. Each round prunes by the prediction, exports, measures, and
    corrects the next prediction by what it saw. The first file that fits is
    kept. Fine-tune the model afterwards and export it again. RAM depends on
    shapes alone; flash may grow a little, since tensors that hold the same
    numbers, as the biases of a model that was never trained, are stored once.

    Args:
        model: a built `keras.Model` on the TensorFlow backend; not changed.
        budget: a `tfprune.Budget` with `flash_bytes` or `ram_bytes`; other
            limits hold as well.
        calibration: as for `tfprune.export_tflite`.
        path: `str` or path-like, the .tflite file to write.
        criterion, data: as for `tfprune.prune`.
        rounds: `int`, exports at most.
        **options: more arguments of `tfprune.prune`: `ranking`, `normalize`,
            `min_channels`, `channel_multiple`, `skip`.

    Returns:
        A `Fit`.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        ValueError: If the budget has neither limit, or is out of reach.
        RuntimeError: If no file of `rounds` rounds fits, or export fails.

    Example:

    >>> board = tfprune.Budget(flash_bytes=51_200, ram_bytes=40_960)
    >>> fit = tfprune.fit_target(model, board, images, "model.tflite")
    >>> print(fit.table().to_text())
    """
    limits = {k: v for k, v in budget.limits().items() if k in LIMITS}
    if not limits:
        raise ValueError(
            "A budget with `flash_bytes` or `ram_bytes` is required. "
            f"Received: budget={budget}. For other limits use "
            "`tfprune.prune`."
        )
    path = files.writable(path)
    graph = read.channel_graph(model)
    meter = costs.Meter(graph)
    ceilings = {
        k: int(v) for k, v in budget.ceilings(meter).items() if k in LIMITS
    }
    aims, seen = dict(ceilings), []
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.tflite"
        for _ in range(rounds):
            now = dataclasses.replace(budget, **aims)
            keep = pruning.choose(graph, now, criterion, data, **options)
            small = rebuild.shrink(graph, keep)
            found = _measured(small, file, calibration, meter, keep)
            seen.append(found)
            if all(getattr(found, k) <= n for k, n in ceilings.items()):
                files.write({path: file.read_bytes()})
                return Fit(small, str(path), tuple(seen))
            aims = {
                k: _aim(found, k, ceiling, aims[k])
                for k, ceiling in ceilings.items()
            }
    raise RuntimeError(
        f"A file that fits is required. Received: {budget}, and after "
        f"{rounds} rounds the last file takes {seen[-1].flash_bytes:,} bytes "
        f"of flash and {seen[-1].ram_bytes:,} of RAM. Raise `rounds` or the "
        "limits."
    )


def _measured(model, file, calibration, meter, keep):
    tflite.export_tflite(model, file, "int8", calibration)
    return Round(
        predicted_flash=meter.flash_bytes(keep),
        flash_bytes=file.stat().st_size,
        predicted_ram=meter.ram_bytes(keep),
        ram_bytes=micro.arena(file).required_bytes,
    )


def _aim(found, name, ceiling, before):
    """What to predict, so that what is measured is the ceiling."""
    if getattr(found, name) <= ceiling:
        return before
    corrected = int(ceiling / (1 + found.errors()[name]))
    # A prediction that has been met has to fall by something.
    return max(1, min(corrected, before - 1))
