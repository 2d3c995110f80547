"""The page of a run: `report.html`, a self-contained file."""

import dataclasses
import pathlib

from tfprune import reports
from tfprune.core.files import leftovers
from tfprune.deploy import layer_errors
from tfprune.export.convert import tflite
from tfprune.pipeline.result import first_look
from tfprune.pipeline.result import measured

_LIMIT = 5000  # Samples for the confusion matrix or the histogram of errors.
_ERRORS = 64  # Samples for the quantization error.
_BYTES = {
    measured.FILE,
    measured.FLASH,
    measured.IMAGE,
    measured.IMAGE_PREDICTED,
    measured.ARENA,
    measured.ARENA_NEEDED,
    measured.FLASH_PREDICTED,
    measured.ARENA_PREDICTED,
    measured.FLOAT_FILE,
}
_NOT_METRICS = {"epoch", "seconds"}


def write(path, found, job, names=()):
    """Writes the page of a result.

    Args:
        path: `pathlib.Path`, the file.
        found: a `Compressed` with its dense model.
        job: the `Job`.
        names: sequence of `str`, the names of the classes of the first
            output.
    """
    page = reports.compare(job.model, found.model).page()
    page = dataclasses.replace(
        page,
        title=f"{job.model.name}, compressed",
        target=found.settings.get("board", ""),
        measured=tuple(quantities(found)),
        frontier=frontier(found),
        stages=stages(found),
        sensitivity=first_look.sensitivity(job),
        quantization=_quantization(path.parent / "model.tflite", found, job),
        outcomes=outcomes(found, job, names),
        settings=settings(found),
        command=found.command,
    )
    page.write(path)


def quantities(found):
    """Yields a `reports.Quantity` for each measurement of a result."""
    limits = found.limits_of_numbers()
    for name, before in found.before.items():
        metric = name.split(", ")[0] == found.monitor
        share = "accuracy" in name
        yield reports.Quantity(
            name,
            before,
            found.after.get(name),
            "%" if share else "bytes" if name in _BYTES else "",
            limit=limits.get(name),
            larger_is_better=share or (metric and found.larger),
        )


def frontier(found):
    """The `reports.Frontier` of the points; `None` without points."""
    if not found.points:
        return None
    points = tuple(
        reports.FrontierPoint(
            f"point {number}",
            (point.file_values or point.values)[found.monitor],
            point.numbers,
            chosen=_is_result(point, found),
        )
        for number, point in enumerate(found.points, start=1)
    )
    share = "accuracy" in found.monitor
    return reports.Frontier(
        f"{found.monitor} on validation data", points, "%" if share else ""
    )


def _is_result(point, found):
    """Whether a point is the result; others may cost the same.

    The seconds of its epochs tell a training from all others.
    """
    return point.curve == found.curve and point.kept == found.kept


def stages(found):
    """The training curve as a tuple of `reports.Stage`."""
    if not found.curve:
        return ()
    names = [n for n in found.curve[-1] if n not in _NOT_METRICS]
    history = {n: [line[n] for line in found.curve] for n in names}
    return (reports.Stage("training", history),)


def _quantization(path, found, job):
    """The quantization error by tensor; `None` without a file."""
    if job.runtime is None:
        return None
    with leftovers.folder() as folder:
        plain = pathlib.Path(folder, "float.tflite")
        tflite.export_tflite(found.model, plain)
        data = job.train.some(_ERRORS)[0]
        return layer_errors.quantization_error(path, plain, data, _ERRORS)


def outcomes(found, job, names):
    """The predictions of both models; none if the metric is a function.

    Args:
        found: a `Compressed` with its dense model.
        job: the `Job`.
        names: sequence of `str`, the names of the first output's classes.
    """
    if job.task.is_function:
        return ()
    data = list(job.validation.batches(limit=_LIMIT))
    first = job.task.outputs[0].name or "output"
    return tuple(
        dataclasses.replace(each, labels=tuple(names))
        if names and each.name == first and isinstance(each, reports.Confusion)
        else each
        for each in reports.outcomes(
            [job.model, found.model], data, losses=job.task.loss
        )
    )


def settings(found):
    """How a result was made, as one `dict`."""
    # The page says itself what is installed.
    given = {k: v for k, v in found.settings.items() if k != "versions"}
    stop = {"stopped early": "by Ctrl-C"} if found.interrupted else {}
    return stop | _flat(given)


def _flat(nested, before=""):
    """Nested settings as one `dict`, by joined names."""
    found = {}
    for name, value in nested.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{before}{name} ")
        elif value is not None:
            found[f"{before}{name}".replace("_", " ")] = value
    return found
