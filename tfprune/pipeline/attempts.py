"""The trials of a run: which ones, in which order, and what they answered."""

import dataclasses

import keras

from tfprune.graph.classes import own_layers
from tfprune.pipeline import channel_choice
from tfprune.pipeline import job as job_lib
from tfprune.pipeline import trial as trial_lib

_AGAIN = 0.5  # Fraction of a trial's time that must be left to start another.


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One trial of a run.

    Attributes:
        name: `str`, the prefix of its steps in the journal.
        seed: `int`, the seed of its search.
        quick: `bool`, whether it is a short cut to a first answer.
    """

    name: str
    seed: int
    quick: bool = False


class Plan:
    """Which trials to make, one after another or side by side.

    Without a limit on time, `trials` of them. With one, a quick one first, and
    then others while time is left.

    Args:
        job: a `Job`.
        seed: `int`, the seed of the first trial.
        trials: `int`, how many at most, the quick one not counted; `None` for
            no limit.
    """

    def __init__(self, job, seed, trials):
        self._job, self._seed, self._trials = job, seed, trials
        self._early = job.epochs is None and job.max_loss is None
        # A frontier needs more than a quick trial.
        self._is_answered = self._early and job.points == 1
        self._number, self._seconds = 0, 0.0

    def next(self):
        """The next `Attempt`, or `None`."""
        if self._early:
            self._early = False
            return Attempt("early", self._seed, True)
        if self._trials is not None and self._number >= self._trials:
            return None
        number = self._number + 1
        attempt = Attempt(f"{number}", self._seed + number - 1)
        # What was made before a kill counts, whatever the time.
        if not self._may_begin() and not _is_recorded(self._job, attempt):
            return None
        self._number = number
        return attempt

    def took(self, seconds):
        """Notes the time of a trial, so that no other starts in vain."""
        self._seconds = seconds

    def _may_begin(self):
        if self._number and not self._has_time():
            return False
        return not (self._is_answered and self._job.clock.over)

    def _has_time(self):
        clock = self._job.clock
        return not clock.over and clock.left > _AGAIN * self._seconds


def in_turn(job, plan):
    """Makes the trials of a plan, one after another.

    Args:
        job: a `Job`.
        plan: a `Plan`.

    Returns:
        List of lists of `job.Answer`, one for each trial, the last answer of
        a list for the full budget.
    """
    found = []
    while (attempt := plan.next()) is not None:
        begin(job, attempt)
        answers = recalled(job, attempt)
        found.append(made(job, attempt) if answers is None else answers)
        plan.took(seconds(job, attempt))
    return found


def begin(job, attempt):
    """Records when a trial begins, unless it began before a kill."""
    space, step = job.workspace, f"beginning of trial {attempt.name}"
    if space.get(step) is None:
        space.put(step, job.clock.spent, job.clock.spent)


def seconds(job, attempt):
    """Seconds of a trial that has ended, also of one before a kill."""
    space, step = job.workspace, f"seconds of trial {attempt.name}"
    if space.get(step) is None:
        began = space.get(f"beginning of trial {attempt.name}")
        space.put(step, job.clock.spent - began, job.clock.spent)
    return space.get(step)


def made(job, attempt):
    """Makes a trial: a list of `job.Answer`."""
    trial = trial_lib.Trial(job, attempt.name, attempt.seed, attempt.quick)
    if job.max_loss is None:
        return list(trial.to_budget())
    costs = job.baseline["costs"]
    least = channel_choice.least(
        *(job.start, costs, job.options), core=job.core
    )
    return list(trial.to_loss(least))


def record(job, attempt, answers):
    """Records in the journal the answers that a worker sent.

    Args:
        job: a `Job`.
        attempt: an `Attempt`.
        answers: list of `dict`, as `Answer.facts`, whose files are in place.
    """
    space = job.workspace
    for answer in answers:
        space.put(f"{answer['name']}/answer", answer)
    names = [answer["name"] for answer in answers]
    space.put(_step(attempt), names, job.clock.spent)


def recalled(job, attempt):
    """The answers that `record` put down, with models; `None` without any."""
    space = job.workspace
    names = space.get(_step(attempt))
    if names is None:
        return None
    objects = own_layers.makers(job.model)
    return [
        job_lib.Answer(
            **space.get(f"{name}/answer"),
            model=keras.saving.load_model(
                space.path(f"{name}.keras"), objects, compile=False
            ),
        )
        for name in names
    ]


def _is_recorded(job, attempt):
    return job.workspace.get(_step(attempt)) is not None


def _step(attempt):
    return f"answers of trial {attempt.name}"
