"""One way from the dense network to the budget, level after level."""

import dataclasses
import math

import numpy as np

from tfprune.costs import counting
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.pipeline import channel_choice
from tfprune.pipeline import tuning
from tfprune.pipeline.result import measured
from tfprune.selection import candidates

_FACTOR = 0.6  # From one network to the next on the way to a loss.
_NEAR = 0.93  # A smaller network that saves less than this is not tried.
_MOST = 12  # Networks on the way to a loss.


@dataclasses.dataclass
class Job:
    """All that a trial needs.

    Attributes:
        model: the dense `keras.Model`.
        start: what channels are taken from, the same without some blocks.
        task: `Task`.
        train, validation: `Source`s.
        recipe: `Recipe`.
        teacher: `keras.Model` or `None`.
        clock: `Clock`.
        tell: function of keywords, for the progress.
        selection: `(x, y)` that channels are chosen on.
        inputs: `x` that weights are fitted on, or `None`.
        calibration: inputs for int8.
        workspace: `Workspace`.
        options: `dict`, of `tfprune.prune`.
        ceilings: `dict` from limits to numbers; empty with `max_loss`.
        table: latency table or `None`.
        runtime: `str`, where files are measured; `None` exports none.
        core: `str`, what the arena is for; `None` for any Cortex-M.
        baseline: `dict` with `numbers` and `values` of the dense network.
        max_loss: `float` or `None`.
        points: `int`.
        epochs: `int` or `None`.
    """

    model: object
    start: object
    task: object
    train: object
    validation: object
    recipe: object
    teacher: object
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
    core: str | None = None
    max_loss: float | None = None
    points: int = 1
    epochs: int | None = None


@dataclasses.dataclass
class Answer:
    """One network that was trained and measured.

    Attributes:
        name: `str`, of its files beside the journal.
        numbers: `dict`, what it takes.
        values: `dict`, its metrics in float.
        file_values: `dict`, those of its file; empty without one.
        over: `dict` from limits that it exceeds to by how much.
        curve: list of `dict`s of its training.
        kept: `dict` from groups to `[kept, of]` channels.
        model: the `keras.Model`, or `None` if it was not loaded.
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
        """The metrics that it is judged by."""
        return self.file_values or self.values


class Trial:
    """A way to the budget.

    Args:
        job: a `Job`.
        name: `str`, of its steps in the journal.
        seed: `int`, of the search.
        quick: `bool`, whether it is for a first answer.
    """

    def __init__(self, job, name, seed=0, quick=False):
        self._job, self._name, self._seed = job, name, seed
        self._quick = quick
        self._offsets = {
            limit: job.baseline["numbers"][key]
            - job.baseline["numbers"][measured.PREDICTED[limit]]
            for limit, key in measured.OF_LIMITS.items()
            if key in job.baseline["numbers"]
        }

    def to_budget(self):
        """Yields the `Answer`s on the way, the last of which fits."""
        job = self._job
        dense = job.baseline["costs"]
        levels = 1
        if not self._quick and job.table is None:
            levels = max(job.recipe.rounds, job.points)
        model = job.start
        for number in range(1, levels + 1):
            last = number == levels
            ceilings = channel_choice.on_the_way(
                dense, job.ceilings, number / levels
            )
            answers = last or job.points > 1
            epochs, until = self._share(number, levels)
            model, answer = self._level(
                model, f"{number}", ceilings, epochs, until, answers
            )
            if answer is not None:
                yield answer

    def to_loss(self, floor):
        """Yields the `Answer`s on the way to the smallest network.

        Args:
            floor: `float`, the least share of the costs that is in reach.
        """
        job = self._job
        good, bad, model = 1.0, None, job.start
        for number in range(1, _MOST + 1):
            wanted = good * _FACTOR if bad is None else math.sqrt(good * bad)
            wanted = max(wanted, floor)
            if wanted > _NEAR * good or job.clock.over:
                return
            ceilings = {
                name: max(1, int(cost * wanted))
                for name, cost in job.baseline["costs"].items()
            }
            epochs, until = self._share(1, 1, parts=4)
            small, answer = self._level(
                model, f"{number}", ceilings, epochs, until, True
            )
            yield answer
            if self.loses(answer) <= job.max_loss:
                good, model = wanted, small
            else:
                bad = wanted

    def loses(self, answer):
        """How much of the watched metric is gone, `float`."""
        task = self._job.task
        dense = task.gain(self._job.baseline["values"])
        return dense - task.gain(answer.judged)

    def _share(self, number, levels, parts=1):
        """Epochs of a level, or the second at which its training ends."""
        job = self._job
        if job.points > 1 or levels == 1:
            share = 1.0
        elif number == levels:
            share = 1 - job.recipe.rounds_share
        else:
            share = job.recipe.rounds_share / (levels - 1)
        if job.epochs is not None:
            return max(1, round(job.epochs * share)), None
        left = job.clock.left
        if self._quick:
            # An early answer takes a tenth of the time.
            return None, job.clock.spent + min(left, 0.1 * job.clock.limit)
        if job.points > 1:
            part = 1 / (levels - number + 1)
        else:
            done = job.recipe.rounds_share * (number - 1) / max(levels - 1, 1)
            part = share / (1 - done) if levels > 1 else 1.0
        return None, job.clock.spent + left * min(1.0, part) / parts

    def _level(self, model, level, ceilings, epochs, until, answers):
        """A smaller network, trained; and its `Answer`, if one is wanted."""
        name = f"{self._name}/{level}"
        small, curve = self._trained(
            model, name, ceilings, epochs, until, answers
        )
        if not answers:
            return small, None
        answer = self._answer(small, name, ceilings, curve)
        for again in range(1, self._job.recipe.corrections + 1):
            if not answer.over:
                break
            name = f"{self._name}/{level}.{again}"
            few = None if epochs is None else max(1, epochs // 4)
            soon = (
                None
                if until is None
                else self._job.clock.spent
                + 0.25
                * (
                    min(until, self._job.clock.left + self._job.clock.spent)
                    - self._job.clock.spent
                )
            )
            small, more = self._trained(
                small, name, ceilings, few, soon, answers
            )
            curve = curve + more
            answer = self._answer(small, name, ceilings, curve)
        return small, answer

    def _trained(self, model, name, ceilings, epochs, until, corrects):
        """`(small, curve)` of a level, done or taken from the journal."""
        job, space = self._job, self._job.workspace
        keep = self._keep(model, name, ceilings, corrects)
        done = space.get(f"{name}/trained")
        if done is not None:
            small = rebuild.shrink(read.channel_graph(model), keep)
            space.load_weights(name, small)
            return small, done["curve"]
        small = channel_choice.shrunk(model, keep, job.inputs)
        state = space.path(f"{name}.state.npz")
        training = tuning.tune(
            small, job, epochs, until, state, f"training {name}"
        )
        space.save_weights(name, small)
        space.put(
            f"{name}/trained",
            {"curve": training.curve, "best": training.best},
            job.clock.spent,
        )
        state.unlink(missing_ok=True)
        return small, training.curve

    def _keep(self, model, name, ceilings, corrects):
        """The channels of a level, whose file fits before it is trained."""
        job, space = self._job, self._job.workspace
        size = read.channel_graph(model).size
        found = space.get(f"{name}/keep")
        if found is not None:
            bits = np.frombuffer(bytes.fromhex(found["keep"]), np.uint8)
            return np.unpackbits(bits, count=size).astype(bool)
        evaluations = job.recipe.evaluations // (8 if self._quick else 1)
        aims = self._aims(ceilings)
        for _ in range(job.recipe.corrections):
            budget = channel_choice.budget_of(aims, job.table)
            choice = channel_choice.choose(
                model,
                budget,
                job,
                job.options,
                evaluations,
                self._seed,
                space.path(f"{name}.search.json"),
            )
            if not corrects or not self._offsets:
                break
            job.tell(stage="export")
            small = channel_choice.shrunk(model, choice.keep, job.inputs)
            file = space.path(f"{name}.tflite")
            numbers = measured.predicted(small) | measured.export(
                small, file, job.calibration, job.core
            )
            self._learn(numbers)
            if not measured.over(numbers, ceilings):
                break
            lower = self._aims(ceilings)
            # What was met and did not do has to fall by something.
            aims = {k: min(lower[k], aims[k] - 1) for k in aims}
            evaluations = max(1, evaluations // 4)
        bits = np.packbits(choice.keep).tobytes().hex()
        facts = {"keep": bits, "tried": choice.tried}
        space.put(f"{name}/keep", facts, job.clock.spent)
        return choice.keep

    def _aims(self, ceilings):
        """What to predict, so that what is measured keeps to the ceilings."""
        return {
            name: max(1, ceiling - max(0, self._offsets.get(name, 0)))
            for name, ceiling in ceilings.items()
        }

    def _learn(self, numbers):
        """By how much measurements lie above predictions, now."""
        for limit in self._offsets:
            self._offsets[limit] = (
                numbers[measured.OF_LIMITS[limit]]
                - numbers[measured.PREDICTED[limit]]
            )

    def _answer(self, small, name, ceilings, curve):
        """Measures a network; takes it from the journal if it is there."""
        job, space = self._job, self._job.workspace
        found = space.get(f"{name}/answer")
        if found is not None:
            answer = Answer(**found, model=small)
            if job.runtime is not None:
                self._learn(answer.numbers)
            return answer
        job.tell(stage="measuring")
        numbers = measured.predicted(small)
        values, file_values = {}, {}
        if job.runtime is not None:
            file = space.path(f"{name}.tflite")
            numbers |= measured.export(small, file, job.calibration, job.core)
            file_values = measured.values(
                file, job.task, job.validation, job.runtime
            )
            self._learn(numbers)
        values = job.task.evaluate(small.predict_on_batch, job.validation)
        over = measured.over(numbers, ceilings)
        small.save(space.path(f"{name}.keras"))
        answer = Answer(
            name,
            numbers,
            values,
            file_values,
            over,
            curve,
            _kept(job.model, small),
            small,
        )
        space.put(f"{name}/answer", answer.facts(), job.clock.spent)
        job.tell(
            stage="answer",
            value=answer.judged[job.task.monitor],
            numbers=numbers,
            fits=not over,
        )
        return answer


def dense_answer(job):
    """The network that came in, as an `Answer`."""
    graph = read.channel_graph(job.model)
    return Answer(
        "dense",
        job.baseline["numbers"],
        job.baseline["values"],
        job.baseline["file_values"],
        measured.over(job.baseline["numbers"], job.ceilings),
        [],
        _kept(job.model, job.model),
        rebuild.shrink(graph, np.ones(graph.size, bool)),
    )


def fits(job, dense):
    """Whether the network that came in keeps to all limits already."""
    by_cost = all(
        job.baseline["costs"][name] <= ceiling
        for name, ceiling in job.ceilings.items()
        if measured.OF_LIMITS.get(name) not in dense.numbers
    )
    return by_cost and not dense.over


def floor(graph, limits):
    """The least share of costs that is in reach, `float`.

    Args:
        graph: a `ChannelGraph`.
        limits: names of costs.
    """
    meter = counting.Meter(graph)
    least = candidates.at_least_one(graph, ~graph.removable)
    return max(
        getattr(meter, name)(least) / getattr(meter, name)() for name in limits
    )


def _kept(dense, small):
    """Channels of each group of the dense model that are left."""
    before, after = read.channel_graph(dense), read.channel_graph(small)
    left = {group.name: len(group) for group in after.groups}
    return {
        group.name: [left.get(group.name, 0), len(group)]
        for group in before.groups
        if not group.frozen
    }
