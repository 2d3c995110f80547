"""Measures the dense network before any trial: the baseline, the sensitivity.

Both are steps of the journal, which are measured once.
"""

import dataclasses
import time

import keras
import numpy as np

from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.pipeline.result import measured
from tfprune.searches import curves

BASELINE = "baseline"
_SENSITIVITY = "sensitivity"
_RATIOS = (0.25, 0.5, 0.75)
_ACCURACY = ("accuracy", "acc")
# Samples of each point, and inferences of all of them together.
_LEAST, _MOST, _ALL = 32, 256, 20_000
_TIME = 0.03  # Fraction of a limit on time that they may take.


def baseline(job):
    """Measurements of the dense network, or those in the journal: a `dict`."""
    space = job.workspace
    found = space.get(BASELINE)
    if found is not None:
        return found
    job.tell(stage="baseline")
    began = job.clock.spent
    numbers, file_values = measured.predicted(job.model, job.core), {}
    values = job.task.evaluate(
        lambda x: job.model(x, training=False), job.validation
    )
    if job.runtime is not None:
        path = space.path("dense.tflite")
        numbers |= {
            measured.FLOAT_FILE: measured.float_file_bytes(job.model),
            **measured.export(job.model, path, job),
        }
        file_values = measured.values(
            path, job.model, job.task, job.validation, job.runtime
        )
    # A copy, as an optimizer of the user's own may not suit a file.
    graph = read.channel_graph(job.model)
    whole = rebuild.shrink(graph, np.ones(graph.size, bool))
    whole.save(space.path("dense.keras"))
    found = {
        "numbers": numbers,
        "values": values,
        "file_values": file_values,
        "seconds": job.clock.spent - began,
    }
    space.put(BASELINE, found, job.clock.spent)
    return found


def sensitivity(job):
    """The sensitivity of the dense network, or that in the journal.

    Args:
        job: a `Job`.

    Returns:
        A `curves.Sensitivity` by the samples on which channels are chosen;
        `None` if no channel may go, or time is too short.
    """
    space, graph = job.workspace, read.channel_graph(job.model)
    count = sum(not group.frozen for group in graph.groups)
    if not count:
        return None
    found = space.get(_SENSITIVITY)
    if found is not None:
        return curves.Sensitivity.from_dict(found)
    each = _affordable(job) // (count * len(_RATIOS))
    if job.clock.limit is not None and each < _LEAST:
        return None
    job.tell(stage=_SENSITIVITY)
    found = curves.sensitivity(
        job.model,
        job.selection,
        _RATIOS,
        "l1",
        _metric(job.task),
        limit=int(np.clip(each, _LEAST, _MOST)),
        progress=False,
    )
    metric = f"{found.metric} on training samples"
    found = dataclasses.replace(found, metric=metric)
    space.put(_SENSITIVITY, dataclasses.asdict(found), job.clock.spent)
    return found


def _affordable(job):
    """`int`, inferences that the sensitivity may take."""
    if job.clock.limit is None:
        return _ALL
    x = keras.tree.map_structure(lambda a: a[:_LEAST], job.selection[0])
    job.model.predict_on_batch(x)  # The first call compiles.
    began = time.monotonic()
    job.model.predict_on_batch(x)
    each = (time.monotonic() - began) / _LEAST
    seconds = min(job.clock.left, _TIME * job.clock.limit)
    return min(_ALL, int(seconds / max(each, 1e-9)))


def _metric(task):
    """`None`, accuracy, if that is what counts; else minus a sample's loss."""
    kinds = [output.kind for output in task.outputs]
    if kinds in (["sparse"], ["categorical"]) and task.monitor in _ACCURACY:
        return None

    def minus_loss(y, outputs, mask=None):
        return task.scores(y, outputs, mask)

    minus_loss.__name__ = "minus the loss"  # as the page shows it
    return minus_loss
