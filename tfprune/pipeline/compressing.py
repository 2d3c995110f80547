"""The whole pipeline in one call: measure, prune, train, export.

Stages: check and measure the given model, in float and as an int8 file; search
for each group's share of channels, with weights refitted and statistics
recalibrated; prune in rounds, with fine-tuning by labels and distillation in
between; measure the file, and prune further if it does not fit.
"""

import collections.abc
import hashlib
import json
import typing

import keras
import numpy as np

from tfprune.core import packages
from tfprune.core import typed
from tfprune.costs import counting
from tfprune.graph import read
from tfprune.graph import values as values_lib
from tfprune.pipeline import channel_choice
from tfprune.pipeline import clock as clock_lib
from tfprune.pipeline import job as job_lib
from tfprune.pipeline import recipe as recipe_lib
from tfprune.pipeline import teacher_outputs
from tfprune.pipeline import trial as trial_lib
from tfprune.pipeline import tuning
from tfprune.pipeline.request import door_checks
from tfprune.pipeline.request import sources
from tfprune.pipeline.request import task as task_lib
from tfprune.pipeline.request import wishes
from tfprune.pipeline.result import compressed as compressed_lib
from tfprune.pipeline.result import measured
from tfprune.pipeline.result import progress as progress_lib
from tfprune.pipeline.result import result_folder
from tfprune.pipeline.result import workspace as workspace_lib
from tfprune.reports.html import provenance
from tfprune.selection import Budget
from tfprune.surgery import depth

_CALIBRATION = 256  # Training samples that int8 ranges are measured on.
_EPOCHS = 20
_AGAIN = 0.5  # Fraction of a trial's time that must be left to start another.


def compress(
    model: keras.Model,
    train: typing.Any,
    validation: typing.Any,
    budget: Budget | None = None,
    *,
    out: typed.Path,
    board: str | None = None,
    macs: float | int | None = None,
    latency: float | int | None = None,
    max_loss: float | None = None,
    points: int = 1,
    minutes: float | None = None,
    epochs: int | None = None,
    seed: int = 0,
    monitor: str | collections.abc.Callable | None = None,
    mode: str = "auto",
    loss: typing.Any = None,
    metrics: typing.Any = None,
    labels: collections.abc.Sequence[str] = (),
    export: bool = True,
    runtime: str | None = None,
    recipe: recipe_lib.Recipe | None = None,
    teacher: keras.Model | None = None,
    progress: bool = True,
    command: str | None = None,
    **options: typing.Any,
) -> compressed_lib.Compressed:
    """Compresses a model: finds the best network that fits a budget.

    The folder `out` gets `model.keras`, `model.tflite` (int8), `firmware` if
    flash or RAM is limited, and `result.json`. Work in progress is in `out`
    with `.part` appended; after a kill, the same call resumes from there. The
    first Ctrl-C stops with the best network so far and a complete folder; the
    second stops at once.

    Args:
        model: a trained, built `keras.Model`; it is not changed. Its compiled
            loss and metrics are used.
        train: anything that `fit` accepts: arrays `(x, y)` or `(x, y,
            weights)`, lists or `dict`s of arrays for several inputs or
            outputs, a `tf.data.Dataset`, a `keras.utils.PyDataset`; or a
            `str`: an `.npz` file with `x` and `y`, a folder of images with
            one folder per class, or `"tfds:name:split"`. `x` without `y` is
            its own target.
        validation: likewise; data for choosing the network.
        budget: a `tfprune.Budget`.
        board: instead of `budget`, a name from `tfprune boards`.
        macs: instead of `budget`, as in `Budget`: 0.25 keeps a quarter.
        latency: instead of `budget`, the fraction of the TFLite latency to
            keep at most, or microseconds; measures the layers first.
        max_loss: instead of `budget`, how much the metric may drop: 0.01
            finds the smallest network, in multiply-adds and weights, that
            loses no more on `validation`.
        points: `int`, networks between the dense one and the budget to train,
            measure and keep as well: the frontier.
        minutes: `float`, total time. A first result is ready after a tenth of
            it and improves until the time is up.
        epochs: `int`, instead of `minutes`: epochs per measured network; 20
            if neither is given.
        seed: `int`, seed for shuffling arrays and for the search.
        monitor: `str`, the metric to preserve; or a function `(x, y, outputs)
            -> float` of all validation data; by default the model's first
            metric, or its loss.
        mode: `"max"`, `"min"`, or `"auto"` to infer from the name whether
            larger is better.
        loss, metrics: as for `compile`; override those of the model.
        labels: names of the classes, for the firmware.
        export: `bool`, whether to export and measure the int8 file; if not,
            limits on flash and RAM are checked by prediction.
        runtime: where to measure the file: `"micro"`, `"tflite"` or
            `"reference"`; by default `"micro"` if flash or RAM is limited.
        recipe: a `tfprune.pipeline.Recipe`.
        teacher: a `keras.Model`, with the inputs and outputs of `model`, whose
            outputs the network also learns from; by default `model`.
        progress: `bool`, whether to show progress, if stderr is a terminal.
        command: `str`, the command that reproduces this call; by default the
            command line of the process.
        **options: `channel_multiple`, `min_channels`, `target`, `skip`, as
            for `tfprune.prune`; a board sets the multiple of its kernels.

    Returns:
        A `Compressed`.

    Raises:
        FileExistsError: If `out` holds something else.
        ImportError: If a required package is missing.
        TypeError: If `model` is not a Keras model.
        ValueError: If data, metric or labels do not suit the model, the
            budget cannot be met, or `out` was made with other settings.

    Example:

    >>> found = tfprune.compress(
    ...     model, (x, y), (x_val, y_val), board="nano-33-ble", out="kws")
    >>> found.model, found.path
    >>> print(found.table().to_text())
    """
    wish = wishes.Wish(budget, board, macs, latency, max_loss)
    _check(model, minutes, epochs, points)
    workspace_lib.check_out(out)
    recipe = recipe or recipe_lib.Recipe()
    if runtime is None:
        runtime = "micro" if wish.is_micro else "tflite"
    runtime = runtime if export else None
    _check_packages(runtime)
    if wish.board_name is not None and "target" not in options:
        multiple = channel_choice.multiple_of(wish.board_name)
        options = {"channel_multiple": multiple, **options}
    if minutes is None and epochs is None:
        epochs = _EPOCHS
    work = _Work(model, train, validation, recipe, seed)
    work.read(loss, metrics, monitor, mode)
    work.be_taught_by(teacher)
    asked = {
        "wish": wish.given(),
        "points": points,
        "epochs": epochs,
        "by_time": minutes is not None,
        "seed": seed,
        "runtime": runtime,
        "recipe": recipe.facts(),
        "options": options,
    }
    if teacher is not None:
        asked["teacher"] = teacher.name
    key = asked | work.key()
    if not wish.needs_table:
        # Raise for an unreachable budget before creating a folder.
        work.resolve(wish, options, None)
    space = workspace_lib.Workspace(out, key)
    if space.finished:
        return result_folder.load(out, model)
    clock = clock_lib.Clock(minutes, space.spent)
    if wish.needs_table:
        work.resolve(wish, options, space)
    job = work.job(wish, space, clock, runtime, options, epochs, points)
    facts = {
        "settings": asked
        | {
            "minutes": minutes,
            "samples": work.counts,
            "loss": task_lib.title(work.task.loss),
            "loss_was_guessed": work.task.guessed,
            "measured": measured.title(runtime) if export else "nothing",
        }
        | provenance.environment(),
        "command": command or _call(wish, out, asked, minutes),
    }
    show = progress_lib.Progress(
        progress, clock, work.task.monitor, job.ceilings
    )
    with clock.stopped_by_ctrl_c(), show:
        job.tell = show.tell
        door_checks.warn_of_chance(model, work.task, work.validation)
        job.baseline |= result_folder.baseline(job)
        clock.reserve = job.baseline["seconds"]
        best, frontier = _found(job, seed)
        facts["interrupted"] = clock.stopped
        return result_folder.write(job, best, frontier, facts, key, labels)


def _check(model, minutes, epochs, points):
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"A keras.Model is required. Received: model={model!r}. Load a "
            "file with tfprune.load_model."
        )
    if minutes is not None and epochs is not None:
        raise ValueError(
            "Only one of minutes and epochs may be given. Received: "
            f"minutes={minutes!r}, epochs={epochs!r}."
        )
    for name, value in (("minutes", minutes), ("epochs", epochs)):
        if value is not None and not value > 0:
            raise ValueError(
                f"`{name}` must be positive. Received: {name}={value!r}."
            )
    if not isinstance(points, int) or points < 1:
        raise ValueError(
            f"`points` must be a positive int. Received: points={points!r}."
        )


def _check_packages(runtime):
    if runtime is None:
        return
    advice = "Exporting (export=False does without)"
    packages.require("ai_edge_litert", user=advice)
    if runtime == "micro":
        packages.require("tflite_micro", user=advice)
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "The int8 file needs the TensorFlow backend. Received: "
            f"KERAS_BACKEND={keras.backend.backend()!r}. Pass export=False, "
            "or set KERAS_BACKEND=tensorflow."
        )


class _Work:
    """Model and data, read and checked.

    Attributes:
        task: `Task`.
        train, validation: `Source`s.
        counts: `dict`, samples of each.
    """

    def __init__(self, model, train, validation, recipe, seed):
        self.model, self.recipe = model, recipe
        self._graph = read.channel_graph(model)
        counting.check_sizes(self._graph)
        self._data, self._seed = (train, validation), seed
        self._teacher = None

    def read(self, loss, metrics, monitor, mode):
        """Opens and checks the data, and determines the metric to watch."""
        mode_of_labels = task_lib.label_mode(self.model, loss)
        self.train, self.validation = (
            sources.Source(
                data,
                purpose,
                self.model,
                mode_of_labels,
                self.recipe.batch_size,
                self._seed,
            )
            for data, purpose in zip(
                self._data, ("training", "validation"), strict=True
            )
        )
        sample = next(self.train.batches(limit=self.recipe.batch_size))
        door_checks.check_inputs(self.model, sample[0], "training")
        kinds = task_lib.kinds_of(self.model, sample[1], loss)
        self.counts = {
            source.purpose: door_checks.check_data(self.model, kinds, source)
            for source in self._checked(monitor)
        }
        self.task = task_lib.Task(
            self.model, sample, loss, metrics, monitor, mode
        )
        if callable(monitor):
            self.counts["validation"] = door_checks.check_data(
                self.model, [], self.validation
            )

    def be_taught_by(self, teacher):
        """Uses another teacher than the model, if it is not `None`."""
        if teacher is not None:
            if not self.recipe.teacher:
                raise ValueError(
                    "A teacher needs a recipe that has one. Received: "
                    f"teacher={teacher!r} with Recipe(teacher=False)."
                )
            sample, _ = self.train.some(64)
            kinds = self.task.kinds()
            door_checks.check_teacher(teacher, self.model, kinds, sample)
            self._teacher = teacher

    def _checked(self, monitor):
        """Checks data; a monitor function may use any validation labels."""
        if callable(monitor):
            return [self.train]
        return [self.train, self.validation]

    def key(self):
        """Everything that the result depends on, as plain data."""
        return {
            "model": _digest(self.model),
            "training": self.train.digest(),
            "validation": self.validation.digest(),
            "loss": task_lib.title(self.task.loss),
            "monitor": self.task.monitor,
            "larger": self.task.larger,
        } | ({"teacher": _digest(self._teacher)} if self._teacher else {})

    def resolve(self, wish, options, space):
        """Converts a wish to absolute limits that can be met.

        Args:
            wish: a `Wish`.
            options: of `tfprune.prune`.
            space: a `Workspace`, for a wish that needs a latency table.
        """
        self._selection = self.train.some(self.recipe.selection)
        self._calibration, _ = self.train.some(_CALIBRATION)
        budget = wish.resolved(self.model, space, self._calibration)
        graph, self._start = self._graph, self.model
        if getattr(budget, "depth", None) is not None:
            self._start, budget = depth.cut(graph, budget, self._selection)
            graph = read.channel_graph(self._start)
        self._costs = wishes.Costs({}, {})
        if budget is not None or wish.max_loss is not None:
            self._costs = wishes.costs(
                budget, graph, self.recipe, self._selection, options
            )

    def job(self, wish, space, clock, runtime, options, epochs, points):
        """The `Job`, its baseline not measured yet."""
        recipe, costs = self.recipe, self._costs
        teacher = told = inputs = None
        if recipe.teacher:
            teacher = tuning.teacher_of(self._teacher or self.model)
            told = teacher_outputs.TeacherOutputs(teacher, self.train)
        if recipe.reconstruction:
            inputs, _ = self.train.some(recipe.reconstruction)
        return job_lib.Job(
            model=self.model,
            start=self._start,
            task=self.task,
            train=self.train,
            validation=self.validation,
            recipe=recipe,
            teacher=teacher,
            told=told,
            clock=clock,
            tell=lambda **facts: None,
            selection=self._selection,
            inputs=inputs,
            calibration=self._calibration,
            workspace=space,
            options=options,
            ceilings=costs.ceilings,
            table=costs.table,
            runtime=runtime,
            baseline={"costs": costs.dense},
            core=wish.core,
            max_loss=wish.max_loss,
            points=points,
            epochs=epochs,
        )


def _found(job, seed):
    """`(best, frontier)`: an `Answer`, and a list of them."""
    dense = job_lib.dense_answer(job)
    if job.max_loss is not None:
        return _smallest(job, dense, seed)
    if job.start is job.model and job_lib.fits(job, dense):
        return dense, []
    if job.epochs is not None:
        way = list(trial_lib.Trial(job, "1", seed).to_budget())
        return way[-1], way if job.points > 1 else []
    ways = [list(trial_lib.Trial(job, "early", seed, True).to_budget())]
    number, seconds = 1, 0.0
    while not ways[1:] or job.clock.left > _AGAIN * seconds:
        began = job.clock.spent
        trial = trial_lib.Trial(job, f"{number}", seed + number - 1)
        ways.append(list(trial.to_budget()))
        seconds = job.clock.spent - began
        number += 1
        if job.clock.over:
            break
    best = max(
        ways, key=lambda way: (not way[-1].over, job.task.gain(way[-1].judged))
    )
    return best[-1], best if job.points > 1 else []


def _smallest(job, dense, seed):
    """The smallest network that loses no more than `max_loss`."""
    trial = trial_lib.Trial(job, "1", seed)
    least = job_lib.floor(read.channel_graph(job.start), job.baseline["costs"])
    way = [dense, *trial.to_loss(least)]
    good = [a for a in way if trial.loses(a) <= job.max_loss]
    if not good:
        gone = trial.loses(dense)
        raise RuntimeError(
            "Some network must lose no more than `max_loss`. Received: "
            f"max_loss={job.max_loss}, but the int8 file of the given model "
            f"already loses {gone:.4g} of {job.task.monitor}. Raise "
            "`max_loss`, or calibrate with other data."
        )
    frontier = sorted(way, key=lambda a: -a.numbers["MACs"])
    return min(good, key=lambda a: a.numbers["MACs"]), frontier


def _digest(model):
    """A hash of a model's layers and weights."""
    found = hashlib.sha256()
    config = json.dumps(model.get_config(), default=repr, sort_keys=True)
    if "0x" not in config:  # addresses of objects without a config
        found.update(config.encode())
    for variable in model.weights:
        array = values_lib.numpy(variable, exact=True)
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _call(wish, out, asked, minutes):
    """The Python call that reproduces this one."""
    given = dict(wish.given())
    how = {"minutes": minutes} if minutes else {"epochs": asked["epochs"]}
    given |= {k: repr(v) for k, v in how.items()}
    given |= {"points": repr(asked["points"]), "seed": repr(asked["seed"])}
    if "teacher" in asked:
        given["teacher"] = "teacher"
    text = ", ".join(f"{name}={value}" for name, value in given.items())
    return (
        f"tfprune.compress(model, train, validation, {text}, out={str(out)!r})"
    )
