"""The search for how much of each group of channels may go."""

import collections.abc
import dataclasses
import json
import time
import typing

import keras

from tfprune.core import atomic
from tfprune.core import printed
from tfprune.core import progress_bar
from tfprune.core import tables
from tfprune.core import typed
from tfprune.searches import amc
from tfprune.searches import masked_evaluation
from tfprune.searches import objective
from tfprune.searches import strategies
from tfprune.selection import budget as budget_lib
from tfprune.selection import goal

_LATEST = 10  # Trials in the live table.
_SHOWN = 12  # Groups of each.


@dataclasses.dataclass(frozen=True, eq=False)
class Search(printed.Printed):
    """What a search found.

    Attributes:
        strategy: `str`.
        groups: tuple of `str`, the groups that were searched.
        dense: `float`, the accuracy with all channels.
        trials: tuple of `Trial`, in their order.
        traces: `int`, how often the model was traced for all of them.
        evaluated: `int`, how many different networks were measured.
        model: the pruned model of the best trial, not fine-tuned, with the
            normalisation that it was measured with.
    """

    strategy: str
    groups: tuple[str, ...]
    dense: float
    trials: tuple[objective.Trial, ...]
    traces: int
    evaluated: int
    model: typing.Any

    def tables(self):
        """A list of `tables.Table`: what was found, and the shares."""
        best = self.best
        found = (
            ("strategy", self.strategy),
            ("trials", tables.number(len(self.trials))),
            ("accuracy of the dense model", tables.percent(self.dense, 2)),
            ("accuracy of the best trial", tables.percent(best.accuracy, 2)),
            ("its MACs", tables.number(best.macs)),
            ("its parameters", tables.number(best.params)),
        )
        shares = tuple(
            (name, tables.percent(share)) for name, share in self.ratios.items()
        )
        return [
            tables.Table(("search", "value"), found),
            tables.Table(("group", "stays"), shares),
        ]

    @property
    def best(self):
        """The `Trial` with the highest reward, the first of several."""
        return max(self.trials, key=lambda trial: trial.reward)

    @property
    def ratios(self):
        """`dict` from the name of each group to the share that stayed."""
        return dict(zip(self.groups, self.best.kept, strict=True))

    def to_dict(self):
        """Everything but the model, as plain data."""
        found = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("model", "trials")
        }
        trials = [dataclasses.asdict(trial) for trial in self.trials]
        return {**found, "ratios": self.ratios, "trials": trials}

    @classmethod
    def from_dict(cls, found):
        """What `to_dict` gave, with `None` for the model."""
        found = {k: v for k, v in found.items() if k != "ratios"}
        trials = tuple(
            objective.Trial(**{**trial, "kept": tuple(trial["kept"])})
            for trial in found.pop("trials")
        )
        groups = tuple(found.pop("groups"))
        return cls(trials=trials, groups=groups, model=None, **found)

    def save(self, path):
        """Writes everything but the model as JSON."""
        path = atomic.writable(path)
        text = json.dumps(self.to_dict(), indent=2) + "\n"
        atomic.write({path: text.encode()})


def search(
    model: keras.Model,
    data: typed.Data,
    budget: budget_lib.Budget | None = None,
    strategy: str = "amc",
    evaluations: int = 400,
    reward: str = "error",
    criterion: typing.Any = "l1",
    criterion_data: typed.Data = None,
    recalibrate: typed.Data = None,
    reconstruct: typed.Data = None,
    limit: int | None = None,
    seed: int = 0,
    checkpoint: typed.Path | None = None,
    progress: bool = True,
    settings: amc.Settings | None = None,
    metric: collections.abc.Callable = masked_evaluation.accuracy,
    **options: typing.Any,
) -> Search:
    """Finds how many channels of each group stay, by trying.

    The model is traced once: every trial sets the weights that read removed
    channels to zero and runs inference. Which channels of a group go is up
    to the criterion. The same arguments give the same trials.

    Args:
        model: a built `keras.Model`; it is not changed.
        data: `(x, y)` to measure accuracy on, images that neither training
            nor the final test sees; see `tfprune.datasets.samples`.
        budget: a `tfprune.Budget` that no trial exceeds. `None`, with
            `reward` `"flops"` or `"params"`, lets accuracy decide.
        strategy: `"amc"`, an agent that learns; `"random"`, one that does
            not; `"one_plus_one"` changes the best so far, a few groups at a
            time; `"greedy"` takes from one group at a time, from the least
            sensitive one; `"evolution"` (CMA-ES) and `"bayesian"` (Optuna)
            need the extra `search`; or a single network: `"uniform"` removes
            the same share of each group, `"shallow"` more of the first
            groups, `"deep"` more of the last.
        evaluations: `int`, networks that are measured; a single one for the
            last three. Of `"greedy"` some lie above the budget on the way,
            and are no trials.
        reward: `"error"`, `"flops"` or `"params"`; see `tfprune.searches.amc`.
        criterion, criterion_data: as `criterion` and `data` of
            `tfprune.prune`.
        recalibrate: inputs by which batch normalisation is measured anew in
            each trial; some hundred make the trials much more telling.
        reconstruct: inputs to fit the weights that read kept channels by, in
            each trial, on the inputs that they have in the full model (AMC,
            section 3.3); the data are read once.
        limit: `int`, samples of `data` that are looked at; `None` for all.
        seed: `int`.
        checkpoint: path of a JSON file in which every accuracy is kept as
            soon as it is known. A search that was stopped, started again
            with the same arguments, goes through the trials it finds there
            without measuring them again. Searches of the same model and data
            can share it.
        progress: `bool`, whether the latest trials are shown while it runs,
            if stderr is a terminal.
        settings: `tfprune.searches.amc.Settings`; by default those of the
            paper, with at most a quarter of the trials as warm-up.
        metric: function `(y, outputs) -> numbers` of numpy arrays, one number
            for each sample, larger for what is better; it stands for the
            accuracy wherever that is spoken of.
        **options: in the place of `budget`, the arguments of `tfprune.Budget`
            (`macs`, `ram_bytes`, ...); `state` and `lowest`, see
            `PruningEnvironment`;
            `min_channels`, `channel_multiple`, `target` and `skip`, as for
            `tfprune.prune`.

    Returns:
        A `Search`.

    Raises:
        ImportError: If the extra `search` is needed and missing.
        ValueError: If a name is unknown, data are missing, the budget is out
            of reach, or neither budget nor reward bounds the search.

    Example:

    >>> found = tfprune.search(model, (x_val, y_val), macs=0.5)
    >>> found.model, found.ratios
    """
    budget, options = goal.with_limits(budget, options)
    play = strategies.STRATEGIES.get(strategy)
    if evaluations < 1:
        raise ValueError(
            "At least one trial is needed. Received: "
            f"evaluations={evaluations!r}."
        )
    asked = objective.Objective(
        model,
        data,
        budget,
        reward,
        criterion,
        criterion_data,
        recalibrate,
        reconstruct,
        limit,
        checkpoint,
        metric,
        **options,
    )
    if settings is None:
        warmup = min(amc.Settings.warmup, max(1, evaluations // 4))
        settings = amc.Settings(warmup=warmup, seed=seed)
    trials = []
    with progress_bar.live(progress) as show:
        start = time.perf_counter()
        for value, info in play(asked.env, evaluations, settings):
            now = time.perf_counter()
            trials.append(asked.trial(value, info, now - start))
            show(_latest(strategy, asked.dense, trials).to_text())
            start = now
    found = Search(
        strategy=strategy,
        groups=asked.groups,
        dense=asked.dense,
        trials=tuple(trials),
        traces=asked.traces,
        evaluated=asked.evaluated,
        model=None,
    )
    return dataclasses.replace(found, model=asked.model(found.best.kept))


def _latest(strategy, dense, trials):
    """The best trial and the latest ones, as a table."""

    def row(number):
        trial = trials[number]
        return (
            f"{number + 1}",
            tables.percent(trial.accuracy, 2),
            f"{trial.reward:.4f}",
            tables.number(trial.macs),
            tables.number(trial.params),
            f"{trial.seconds:.1f}",
            " ".join(f"{share:.2f}" for share in trial.kept[:_SHOWN]),
        )

    numbers = range(len(trials))
    best = max(numbers, key=lambda number: trials[number].reward)
    latest = [row(number) for number in numbers[-_LATEST:]]
    return tables.Table(
        ("trial", "accuracy", "reward", "MACs", "params", "s", "kept"),
        (("best", *row(best)[1:]), *latest),
        title=f"{strategy}, dense {tables.percent(dense, 2)}",
    )
