"""Writes the networks of a run to the result folder."""

import dataclasses
import errno
import pathlib
import shutil

from tfprune.core.files import atomic
from tfprune.core.files import json_text
from tfprune.export.micro import firmware_folder
from tfprune.pipeline.result import compressed
from tfprune.pipeline.result import measured
from tfprune.pipeline.result import run_page
from tfprune.pipeline.result import workspace

MODEL, FILE = "model.keras", "model.tflite"
FIRMWARE, POINTS = "firmware", "points"
REPORT = "report.html"


def write(job, best, answers, facts, key, labels=()):
    """Writes the folder of a result, and moves it into place.

    Args:
        job: the `Job`.
        best: the chosen `Answer`.
        answers: list of `Answer`, the frontier; may be empty.
        facts: `dict`, further fields of `Compressed`.
        key: `dict`, fingerprints of all that the run depends on.
        labels: sequence of `str`, the names of the classes.

    Returns:
        A `Compressed`.

    Raises:
        OSError: If the disk is full.
        RuntimeError: If the page cannot be written; all else is in place.
    """
    space = job.workspace
    folder = space.final()
    if job.task.is_function:
        best.model.compile("adam", loss=job.task.loss)
    else:
        best.model.compile("adam", **job.task.compiling())
    # Loading a model warns if its optimizer was never built.
    best.model.optimizer.build(best.model.trainable_variables)
    best.model.save(folder / MODEL)
    after = dict(vars(best))
    if job.runtime is not None:
        after["numbers"] = {
            **best.numbers,
            measured.FLOAT_FILE: measured.float_file_bytes(best.model),
        }
        shutil.copy(space.path(f"{best.name}.tflite"), folder / FILE)
        if job.runtime == "micro":
            firmware_folder.export_micro(
                folder / FILE,
                folder / FIRMWARE,
                labels=of_firmware(labels, best.model),
                core=job.core,
            )
    objects = compressed.custom_objects(job.model, job.task.compiling())
    points = []
    for number, answer in enumerate(answers, start=1):
        place = folder / POINTS / f"{number}"
        place.mkdir(parents=True)
        shutil.copy(space.path(f"{answer.name}.keras"), place / MODEL)
        if job.runtime is not None:
            shutil.copy(space.path(f"{answer.name}.tflite"), place / FILE)
        points.append(
            compressed.Point(
                answer.numbers,
                answer.values,
                answer.file_values,
                answer.kept,
                answer.curve,
                str(space.out / POINTS / f"{number}"),
                objects,
            )
        )
    found = compressed.Compressed(
        model=best.model,
        dense=job.model,
        folder=str(space.out),
        before=named(job, job.baseline),
        after=named(job, after),
        fits=not best.over,
        limits=job.ceilings,
        over=best.over,
        monitor=job.task.monitor,
        larger=job.task.larger,
        points=tuple(points),
        curve=best.curve,
        kept=best.kept,
        report=str(space.out / REPORT),
        **facts,
    )
    try:
        run_page.write(folder / REPORT, found, job, labels)
    except Exception as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise  # With more room, the same call writes all of it.
        # Hours of training must not be lost for a page.
        (folder / REPORT).unlink(missing_ok=True)
        without = dataclasses.replace(found, report=None)
        _publish(space, folder, without, key)
        raise RuntimeError(
            "The page of a result must be written. Received: "
            f"{type(error).__name__}: {error} The result is complete without "
            f"{REPORT}: the same call again, or {str(space.out)!r}, gives it."
        ) from error
    _publish(space, folder, found, key)
    return found


def _publish(space, folder, found, key):
    text = json_text.written(found.to_dict() | {"key": key})
    atomic.write({folder / workspace.RESULT: text.encode()})
    space.publish()


def of_firmware(labels, model):
    """The names of classes of which the largest score tells one."""
    return () if model.outputs[0].shape[-1] == 1 else labels


def named(job, facts):
    """Metrics and costs of a network, by unique names."""
    found = {f"{k}, float32": v for k, v in facts["values"].items()}
    if job.runtime is not None:
        where = measured.title(job.runtime)
        found |= {f"{k}, {where}": v for k, v in facts["file_values"].items()}
    return found | facts["numbers"]


def load(out, dense, task):
    """The result of a finished run, a `Compressed`."""
    objects = compressed.custom_objects(dense, task.compiling())
    return compressed.load(pathlib.Path(out), dense, objects)
