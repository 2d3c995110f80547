"""The whole pipeline in one call: measure, prune, train, export.

Stages: check and measure the given model, in float and as an int8 file; search
for each group's share of channels, with weights refitted and statistics
recalibrated; prune in rounds, with fine-tuning by labels and distillation in
between; measure the file, and prune further if it does not fit.
"""

import collections.abc
import contextlib
import inspect
import typing

import keras

from tfprune.core import typed
from tfprune.pipeline import attempts
from tfprune.pipeline import channel_choice
from tfprune.pipeline import clock as clock_lib
from tfprune.pipeline import job as job_lib
from tfprune.pipeline import preparation
from tfprune.pipeline import ray_workers
from tfprune.pipeline import recipe as recipe_lib
from tfprune.pipeline import trial as trial_lib
from tfprune.pipeline.request import arguments
from tfprune.pipeline.request import door_checks
from tfprune.pipeline.request import task as task_lib
from tfprune.pipeline.request import wishes
from tfprune.pipeline.result import compressed as compressed_lib
from tfprune.pipeline.result import first_look
from tfprune.pipeline.result import measured
from tfprune.pipeline.result import progress as progress_lib
from tfprune.pipeline.result import result_folder
from tfprune.pipeline.result import workspace as workspace_lib
from tfprune.reports.html import provenance
from tfprune.selection import Budget

_EPOCHS = 20
_OPTIONS = "channel_multiple min_channels target skip input_shape".split()


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
    trials: int | None = None,
    workers: int = 1,
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
    with `.part` appended; after a kill, the same call resumes from there. With
    another model, data, loss, metric or setting, it is refused; batches are
    told from others by the number of samples and the first four of them,
    shuffled ones by the number of samples and shapes. The first Ctrl-C stops
    with the best network so far and a complete folder; the second stops at
    once.

    Args:
        model: a trained, built `keras.Model`; it is not changed. Its compiled
            loss and metrics are used. A subclassed one comes out Functional.
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
        trials: `int`, whole recipes to try with different seeds, of which the
            best one counts; by default as many as `workers`, or, with
            `minutes` and without `max_loss`, as there is time for.
        workers: `int`, trials at a time. More than one needs Ray (the extra
            `distributed`), which starts processes on this machine, or uses
            the cluster that `RAY_ADDRESS` names. The number does not change
            the result of a number of `trials`.
        seed: `int`, seed for shuffling arrays and for the search.
        monitor: `str`, the metric to preserve; or a function `(x, y, outputs)
            -> float` of all validation data; by default the model's first
            metric, or its loss.
        mode: `"max"`, `"min"`, or `"auto"` to infer from the name whether
            larger is better.
        loss, metrics: as for `compile`; override those of the model.
        labels: names of the classes of the first output, for the firmware and
            the page; two for one score.
        export: `bool`, whether to export and measure the int8 file; if not,
            limits on flash and RAM are checked by prediction.
        runtime: where to measure the file: `"micro"`, `"tflite"` or
            `"reference"`; by default `"micro"` if flash or RAM is limited.
        recipe: a `tfprune.pipeline.Recipe`.
        teacher: a `keras.Model`, with the inputs and outputs of `model`, whose
            outputs the network also learns from; by default `model`.
        progress: `bool`, whether to show progress, if stderr is a terminal.
        command: `str`, the command that reproduces this call; by default this
            call, with objects by the names of their arguments.
        **options: `channel_multiple`, `min_channels`, `target`, `skip`, as
            for `tfprune.prune`; a board sets the multiple of its kernels.
            `input_shape`, for a model that leaves sizes of its inputs open;
            the network has these sizes.

    Returns:
        A `Compressed`.

    Raises:
        ConnectionError: If no cluster of Ray answers at `RAY_ADDRESS`.
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
    minutes, epochs, points, trials, workers, seed, max_loss = map(
        arguments.plain,
        (minutes, epochs, points, trials, workers, seed, max_loss),
    )
    options = {name: arguments.plain(value) for name, value in options.items()}
    skip = options.get("skip", "")
    if not isinstance(skip, str):
        # Each process has the names of a set in another order.
        names = sorted(skip) if isinstance(skip, set | frozenset) else skip
        options["skip"] = list(map(str, names))
    arguments.check_options(
        options, _OPTIONS, inspect.signature(compress).parameters
    )
    wish = wishes.Wish(budget, board, macs, latency, max_loss)
    arguments.check(model, minutes, epochs, points, trials, workers, seed)
    workspace_lib.check_out(out)
    door_checks.check_training(model)
    model = preparation.with_graph(model)
    if isinstance(teacher, keras.Model):
        teacher = preparation.with_graph(teacher)
    input_shape = options.pop("input_shape", None)
    if input_shape is not None:
        model = preparation.sized(model, input_shape)
        # One that knows its sizes may have layers that cannot be pruned.
        if any(None in x.shape[1:] for x in getattr(teacher, "inputs", ())):
            teacher = preparation.sized(teacher, input_shape)
    recipe = recipe_lib.Recipe() if recipe is None else recipe
    if not isinstance(recipe, recipe_lib.Recipe):
        raise TypeError(
            "`recipe` must be a tfprune.pipeline.Recipe. Received: "
            f"recipe={recipe!r}."
        )
    asked_runtime = runtime is not None
    if runtime is None:
        runtime = "micro" if wish.is_micro else "tflite"
    runtime = runtime if export else None
    labels = () if labels is None else labels
    door_checks.check_labels(model, labels)
    labels = tuple(map(str, labels))
    arguments.check_packages(runtime)
    if wish.board_name is not None and "target" not in options:
        multiple = channel_choice.multiple_of(wish.board_name)
        options = {"channel_multiple": multiple, **options}
    target = getattr(budget, "target", None)
    if target is not None and "channel_multiple" not in options:
        options = {"target": target, **options}
    if minutes is None and epochs is None:
        epochs = _EPOCHS
    if trials is None and (minutes is None or max_loss is not None):
        trials = workers
    request = preparation.Request(
        model,
        train,
        validation,
        wish,
        recipe,
        teacher,
        loss,
        metrics,
        monitor,
        mode,
        options,
        seed,
        epochs,
        points,
        runtime,
    )
    work = preparation.Preparation(request)
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
    if trials not in (None, 1):
        asked["trials"] = trials
    key = asked | work.key() | {"labels": list(labels)}
    team = None if workers == 1 else ray_workers.Team(request, workers)
    if not wish.needs_table:
        # Raise for an unreachable budget before creating a folder.
        work.resolve(None)
    space = workspace_lib.Workspace(out, key)
    if space.finished:
        return _finished(out, model, work.task, minutes)
    clock = clock_lib.Clock(minutes, space.spent)
    if wish.needs_table:
        work.resolve(space)
    job = work.job(space, clock)
    more = {
        "monitor": monitor,
        "mode": None if mode == "auto" else mode,
        "loss": loss,
        "metrics": metrics,
        "labels": list(labels) or None,
        "export": None if export else False,
        "runtime": asked["runtime"] if asked_runtime else None,
        "recipe": None if recipe == recipe_lib.Recipe() else recipe,
        "input_shape": input_shape,
    }
    facts = {
        "settings": asked
        | {
            "minutes": minutes,
            "workers": workers,
            "samples": work.counts,
            "loss": task_lib.title(work.task.loss),
            "loss_was_guessed": work.task.guessed,
            "measured": measured.title(runtime) if export else "nothing",
        }
        | wish.place()
        | provenance.environment(),
        "command": command or _call(wish, out, asked, minutes, workers, more),
    }
    show = progress_lib.Progress(
        progress, clock, work.task.monitor, job.ceilings
    )
    alone = contextlib.nullcontext()
    with clock.stopped_by_ctrl_c(), show, team or alone:
        job.tell = show.tell
        door_checks.warn_of_chance(model, work.task, work.validation)
        job_lib.begin(job, first_look.baseline(job))
        first_look.sensitivity(job)
        clock.reserve = job.baseline["seconds"]
        best, frontier = _found(job, attempts.Plan(job, seed, trials), team)
        facts["interrupted"] = clock.stopped
        return result_folder.write(job, best, frontier, facts, key, labels)


def _finished(out, model, task, minutes):
    """The result of a run that has ended; a stopped one may take longer."""
    found = result_folder.load(out, model, task)
    given = found.settings["minutes"]
    if given != minutes:
        raise ValueError(
            "A finished run has taken its time. Received: "
            f"out={str(out)!r}, which was made with minutes={given}, for "
            f"minutes={minutes}. Choose another folder, or delete this one."
        )
    return found


def _found(job, plan, team):
    """`(best, frontier)`: an `Answer`, and a list of them."""
    dense = job_lib.dense_answer(job)
    if job.max_loss is None and job.start is job.model:
        if job_lib.fits(job, dense):
            return dense, [dense] if job.points > 1 else []
    if team is None:
        ways = attempts.in_turn(job, plan)
    else:
        ways = team.side_by_side(job, plan)
    if job.max_loss is not None:
        return _smallest(job, dense, ways)

    def rank(way):
        return not way[-1].over, job.task.gain(way[-1].judged)

    best = max(ways, key=rank)
    if job.points == 1:
        return best[-1], []
    # A quick trial has no networks on the way.
    longest = max(map(len, ways))
    whole = max((way for way in ways if len(way) == longest), key=rank)
    return best[-1], [*whole[:-1], best[-1]]


def _smallest(job, dense, ways):
    """The smallest network that loses no more than `max_loss`."""

    def size(answer):
        return answer.numbers["MACs"]

    def best_of(way):
        good = [a for a in way if trial_lib.is_near(job, a)]
        return min(good, key=size, default=None)

    found = [[dense, *way] for way in ways]
    found = [way for way in found if best_of(way) is not None]
    if not found:
        gone = trial_lib.loses(job, dense)
        raise RuntimeError(
            "Some network must lose no more than `max_loss`. Received: "
            f"max_loss={job.max_loss}, but the int8 file of the given model "
            f"already loses {gone:.4g} of {job.task.monitor}. Raise "
            "`max_loss`, or calibrate with other data."
        )
    way = min(found, key=lambda way: size(best_of(way)))
    return best_of(way), sorted(way, key=size, reverse=True)


def _call(wish, out, asked, minutes, workers, more):
    """The Python call that reproduces this one; objects by their names."""
    given = dict(wish.given())
    how = {"minutes": minutes} if minutes else {"epochs": asked["epochs"]}
    given |= {k: repr(v) for k, v in how.items()}
    given |= {"points": repr(asked["points"]), "seed": repr(asked["seed"])}
    if "trials" in asked:
        given["trials"] = repr(asked["trials"])
    if workers != 1:
        given["workers"] = repr(workers)
    if "teacher" in asked:
        given["teacher"] = "teacher"
    for name, value in (more | asked["options"]).items():
        if value is not None:
            given[name] = repr(value) if _is_plain(value) else name
    text = ", ".join(f"{name}={value}" for name, value in given.items())
    return (
        f"tfprune.compress(model, train, validation, {text}, out={str(out)!r})"
    )


def _is_plain(value):
    """Whether a value is written as it was given."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (bool, int, float, str))
