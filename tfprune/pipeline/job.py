"""What the trials of a run share, and what they answer."""

import dataclasses

import numpy as np

from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.pipeline.result import measured

_ON_FILES = ("flash_bytes", "image_bytes", "ram_bytes")


@dataclasses.dataclass
class Job:
    """The settings and resources that the trials of a run share.

    Attributes:
        model: the dense `keras.Model`.
        start: the `keras.Model` to prune: the dense one, or the dense one
            without some of its blocks.
        task: `Task`.
        train, validation: `Source`.
        recipe: `Recipe`.
        teacher: `keras.Model` or `None`.
        told: `TeacherOutputs`, or `None` without a teacher.
        clock: `Clock`.
        tell: function that reports the progress, as `Progress.tell`.
        selection: `(x, y)`, the samples on which channels are chosen.
        inputs: `x` to refit weights on, or `None`.
        calibration: inputs to calibrate int8 on.
        workspace: `Workspace`.
        options: `dict`, arguments of `tfprune.prune`.
        ceilings: `dict` from limits to numbers; empty with `max_loss`.
        table: latency table or `None`.
        runtime: `str`, the runtime on which files are measured; `None` exports
            no files.
        shares: `dict` from limits on a file to the share of the dense network's
            that they are; without those that are absolute.
        baseline: `dict` with `numbers`, `values`, `file_values` and `costs` of
            the dense network.
        core: `str`, the core that the arena is for; `None` means any Cortex-M.
        dense_scales: `str`, as for `export_tflite`, or `None`.
        max_loss: `float`, the loss of the metric that is allowed, or `None`.
        points: `int`, the number of networks on the frontier.
        epochs: `int`, the epochs of training, or `None` if time is limited.
    """

    model: object
    start: object
    task: object
    train: object
    validation: object
    recipe: object
    teacher: object
    told: object
    clock: object
    tell: object
    selection: tuple
    inputs: object
    calibration: object
    workspace: object
    options: dict
    ceilings: dict
    table: object
    runtime: str | None
    baseline: dict
    shares: dict = dataclasses.field(default_factory=dict)
    core: str | None = None
    dense_scales: str | None = None
    max_loss: float | None = None
    points: int = 1
    epochs: int | None = None


@dataclasses.dataclass
class Answer:
    """A network that has been trained and measured.

    Attributes:
        name: `str`, the name of its files in the workspace.
        numbers: `dict`, its costs.
        values: `dict`, the metrics of the float model.
        file_values: `dict`, the metrics of its file; empty without a file.
        over: `dict` from exceeded limits to the excess.
        curve: list of `dict`, one for each training epoch of all rounds.
        kept: `dict` from channel groups to `[kept, total]`.
        model: the `keras.Model`, or `None` if it is not loaded.
    """

    name: str
    numbers: dict
    values: dict
    file_values: dict
    over: dict
    curve: list
    kept: dict
    model: object = None

    def facts(self):
        """All but the model, as plain data."""
        found = dataclasses.asdict(dataclasses.replace(self, model=None))
        del found["model"]
        return found

    @property
    def judged(self):
        """The metrics that count: those of the file if there is one."""
        return self.file_values or self.values


def begin(job, baseline):
    """Takes over what was measured of the dense network.

    Limits on flash and RAM are those of files, where these were measured.

    Args:
        job: a `Job`.
        baseline: `dict`, as `first_look.baseline` gives it.
    """
    job.baseline |= baseline
    for limit in _ON_FILES:
        number = baseline["numbers"].get(measured.OF_LIMITS[limit])
        if number is None or limit not in job.ceilings:
            continue
        job.baseline["costs"][limit] = number
        if limit in job.shares:
            job.ceilings[limit] = int(number * job.shares[limit])


def dense_answer(job):
    """The dense network as an `Answer`."""
    graph = read.channel_graph(job.model)
    return Answer(
        "dense",
        job.baseline["numbers"],
        job.baseline["values"],
        job.baseline["file_values"],
        measured.over(job.baseline["numbers"], job.ceilings),
        [],
        kept(job.model, job.model),
        rebuild.shrink(graph, np.ones(graph.size, bool)),
    )


def fits(job, dense):
    """Whether the dense network already meets all limits."""
    by_cost = all(
        job.baseline["costs"][name] <= ceiling
        for name, ceiling in job.ceilings.items()
        if measured.OF_LIMITS.get(name) not in dense.numbers
    )
    return by_cost and not dense.over


def kept(dense, small):
    """`dict` from each group of the dense model to `[kept, total]`."""
    before, after = read.channel_graph(dense), read.channel_graph(small)
    # Names of groups are unique among those that can be removed.
    left = {g.name: len(g) for g in after.groups if not g.frozen}
    return {
        group.name: [left.get(group.name, 0), len(group)]
        for group in before.groups
        if not group.frozen
    }
