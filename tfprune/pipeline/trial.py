"""Prunes and trains a network in levels, from the dense one to the budget."""

import math

import numpy as np

from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.pipeline import aims as aims_lib
from tfprune.pipeline import channel_choice
from tfprune.pipeline import job as job_lib
from tfprune.pipeline import tuning
from tfprune.pipeline.result import measured

# The search with `max_loss`: costs of a level relative to the one before, the
# relative cost above which a further level is not worth its training, and the
# most levels.
_FACTOR = 0.6
_NEAR = 0.93
_MOST = 12
_ROUNDING = 4 * float(np.finfo("float32").eps)


class Trial:
    """One attempt to reach the budget.

    Args:
        job: a `job.Job`.
        name: `str`, the prefix of its steps in the journal.
        seed: `int`, the seed of the search.
        quick: `bool`, whether to take a short cut to a first answer.
    """

    def __init__(self, job, name, seed=0, quick=False):
        self._job, self._name, self._seed = job, name, seed
        self._quick = quick
        self._aims = aims_lib.Aims(job.baseline["numbers"])

    def to_budget(self):
        """Yields a `job.Answer` for each level that is measured.

        The last one is that of the full budget.
        """
        job = self._job
        dense = job.baseline["costs"]
        levels = rounds = 1
        if not self._quick:
            # Each point is reached in as many rounds.
            rounds = math.ceil(job.recipe.rounds / job.points)
            levels = rounds * job.points
        model, curve = job.start, []
        for number in range(1, levels + 1):
            ceilings = channel_choice.on_the_way(
                dense, job.ceilings, number / levels
            )
            answers = number % rounds == 0
            epochs, until = self._share(number, levels, rounds)
            model, curve, answer = self._level(
                model, f"{number}", ceilings, epochs, until, answers, curve
            )
            if answer is not None:
                yield answer

    def to_loss(self, least):
        """Yields `job.Answer`s while searching for the smallest network.

        Shrinks until `max_loss` is exceeded, then bisects geometrically between
        the smallest good and the largest bad network.

        Args:
            least: `dict` from limits to the smallest cost that pruning can
                reach.
        """
        job = self._job
        costs = job.baseline["costs"]
        floor = max(least[name] / cost for name, cost in costs.items())
        good, bad, model, curve = 1.0, None, job.start, []
        failed = set()  # The channels of each bad network cut from `model`.
        for number in range(1, _MOST + 1):
            wanted = good * _FACTOR if bad is None else math.sqrt(good * bad)
            wanted = max(wanted, floor)
            if wanted > _NEAR * good or job.clock.over:
                return
            ceilings = {
                name: max(1, least[name], int(cost * wanted))
                for name, cost in costs.items()
            }
            keep = self._keep(model, f"{self._name}/{number}", ceilings, True)
            if keep.tobytes() in failed:
                bad = wanted
                continue
            epochs, until = self._share(1, 1, parts=4)
            small, more, answer = self._level(
                model, f"{number}", ceilings, epochs, until, True, curve
            )
            yield answer
            if is_near(job, answer):
                good, model, curve = wanted, small, more
                failed = set()
            else:
                bad = wanted
                failed.add(keep.tobytes())

    def _share(self, number, levels, rounds=1, parts=1):
        """`(epochs, until)` of a level, one of which is `None`.

        `until` is the second of the clock at which its training must end.
        Every `rounds` levels make an answer, all of which get the same.
        """
        job = self._job
        answered, before = divmod(number - 1, rounds)
        each = job.recipe.rounds_share / max(rounds - 1, 1)
        share = each
        if before == rounds - 1:
            share = 1 - each * before
        if job.epochs is not None:
            return max(1, round(job.epochs * share)), None
        left = job.clock.left
        if self._quick:
            # A first answer may take 10 % of the time.
            return None, job.clock.spent + min(left, 0.1 * job.clock.limit)
        part = share / max(levels // rounds - answered - each * before, 1e-9)
        return None, job.clock.spent + left * min(1.0, part) / parts

    def _level(self, model, level, ceilings, epochs, until, answers, curve):
        """`(model, curve, answer)` of a level.

        Prunes and trains further, up to `corrections` times, if the measured
        file exceeds a limit. The curve goes on from that of the levels before;
        the answer is `None` unless asked for.
        """
        name = f"{self._name}/{level}"
        small, more = self._trained(
            model, name, ceilings, epochs, until, answers
        )
        curve = _continued(curve, more)
        if not answers:
            return small, curve, None
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
            curve = _continued(curve, more)
            answer = self._answer(small, name, ceilings, curve)
        return small, curve, answer

    def _trained(self, model, name, ceilings, epochs, until, corrects):
        """`(small, curve)` of a level, trained now or read from the journal."""
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
        if not job.clock.stopped:
            state.unlink(missing_ok=True)
        return small, training.curve

    def _keep(self, model, name, ceilings, corrects):
        """The channels of a level, chosen so that the file fits.

        Costs are predicted for the search. If the exported file is larger, the
        difference is added to the predictions and the search is repeated.
        """
        job, space = self._job, self._job.workspace
        graph = read.channel_graph(model)
        found = space.get(f"{name}/keep")
        if found is not None:
            bits = np.frombuffer(bytes.fromhex(found["keep"]), np.uint8)
            return np.unpackbits(bits, count=graph.size).astype(bool)
        evaluations = job.recipe.evaluations // (8 if self._quick else 1)
        table = self._table(graph)
        least = channel_choice.least(
            model, ceilings, job.options, table, job.core
        )
        aims = self._aims.of(ceilings, least)
        for _ in range(max(1, job.recipe.corrections)):
            budget = channel_choice.budget_of(aims, graph, table, job.core)
            choice = channel_choice.choose(
                model,
                budget,
                job,
                job.options,
                evaluations,
                self._seed,
                space.path(f"{name}.search.json"),
            )
            if not corrects or not self._aims:
                break
            job.tell(stage="export")
            small = channel_choice.shrunk(model, choice.keep, job.inputs)
            file = space.path(f"{name}.tflite")
            numbers = measured.predicted(small, job.core)
            numbers |= measured.export(small, file, job)
            self._aims.learn(numbers)
            over = measured.over(numbers, ceilings)
            if not over:
                break
            aims = self._aims.lower(aims, ceilings, least, over)
            evaluations = max(1, evaluations // 4)
        bits = np.packbits(choice.keep).tobytes().hex()
        facts = {"keep": bits, "tried": choice.tried}
        space.put(f"{name}/keep", facts, job.clock.spent)
        return choice.keep

    def _table(self, graph):
        """The latency table of a network on the way; `None` without one."""
        job = self._job
        if job.table is None:
            return None
        return job.table.of_pruned(read.channel_graph(job.start), graph)

    def _answer(self, small, name, ceilings, curve):
        """The `job.Answer` of a network, measured or from the journal."""
        job, space = self._job, self._job.workspace
        found = space.get(f"{name}/answer")
        if found is not None:
            answer = job_lib.Answer(**found, model=small)
            if job.runtime is not None:
                self._aims.learn(answer.numbers)
            return answer
        job.tell(stage="measuring")
        numbers = measured.predicted(small, job.core)
        values, file_values = {}, {}
        if job.runtime is not None:
            file = space.path(f"{name}.tflite")
            numbers |= measured.export(small, file, job)
            file_values = measured.values(
                file, small, job.task, job.validation, job.runtime
            )
            self._aims.learn(numbers)
        values = job.task.evaluate(small.predict_on_batch, job.validation)
        over = measured.over(numbers, ceilings)
        small.save(space.path(f"{name}.keras"))
        answer = job_lib.Answer(
            name,
            numbers,
            values,
            file_values,
            over,
            curve,
            job_lib.kept(job.model, small),
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


def _continued(curve, more):
    """A curve with that of a further training, whose epochs count on."""
    done = len(curve)
    return curve + [{**line, "epoch": done + line["epoch"]} for line in more]


def loses(job, answer):
    """`float`, the loss of the monitored metric to the dense network."""
    dense = job.task.gain(job.baseline["values"])
    return dense - job.task.gain(answer.judged)


def is_near(job, answer):
    """Whether an answer loses no more than `max_loss`.

    Metrics are sums of float32: 0.85 - 0.84 is 0.01000005.
    """
    rounding = _ROUNDING * abs(job.task.gain(job.baseline["values"]))
    return loses(job, answer) <= job.max_loss + rounding
