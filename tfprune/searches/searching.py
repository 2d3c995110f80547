"""Searches for the number of channels to keep in each group."""

import collections.abc
import dataclasses
import math
import numbers
import time
import typing

import keras

from tfprune.core import printed
from tfprune.core import progress_bar
from tfprune.core import tables
from tfprune.core import typed
from tfprune.core.files import atomic
from tfprune.core.files import json_text
from tfprune.datasets import tally
from tfprune.graph import channel_graph
from tfprune.searches import amc
from tfprune.searches import metrics
from tfprune.searches import objective
from tfprune.searches import strategies
from tfprune.selection import budget as budget_lib
from tfprune.selection import goal

_LATEST = 10  # Trials in the live table.
_SHOWN = 12  # Groups shown per trial.
# Keywords of a search beside its arguments and limits.
_KEYWORDS = (
    *("input_shape", "lowest", "state"),
    *("channel_multiple", "min_channels", "skip", "target"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Search(printed.Printed):
    """The result of a search.

    Attributes:
        strategy: `str`.
        groups: tuple of `str`, the groups searched.
        dense: `float`, the accuracy with all channels; this and those of the
            trials are values of `metric`, if it is another one.
        trials: tuple of `Trial`, in order.
        traces: `int`, number of times that the model was traced.
        evaluated: `int`, number of different networks measured.
        model: the pruned model of the best trial, not fine-tuned, with the
            normalization statistics of its evaluation.
        metric: `str`, the name of the metric.
    """

    strategy: str
    groups: tuple[str, ...]
    dense: float
    trials: tuple[objective.Trial, ...]
    traces: int
    evaluated: int
    model: typing.Any
    metric: str = tally.ACCURACY

    def tables(self):
        """Returns a list of `tables.Table`: the result, and the shares."""
        best = self.best
        found = (
            ("strategy", self.strategy),
            ("trials", tables.number(len(self.trials))),
            (
                f"{self.metric} of the dense model",
                tally.text(self.metric, self.dense),
            ),
            (
                f"{self.metric} of the best trial",
                tally.text(self.metric, best.accuracy),
            ),
            ("its MACs", tables.number(best.macs)),
            ("its parameters", tables.number(best.params)),
        )
        shares = tuple(
            (name, tables.percent(share)) for name, share in self.kept.items()
        )
        return [
            tables.Table(("search", "value"), found),
            tables.Table(("group", "stays"), shares),
        ]

    @property
    def best(self):
        """The `Trial` with the highest reward; ties go to the first."""
        return max(self.trials, key=lambda trial: trial.reward)

    @property
    def kept(self):
        """`dict` from the name of each group to the fraction that is kept."""
        return dict(zip(self.groups, self.best.kept, strict=True))

    @property
    def ratios(self):
        """`dict` from the name of each group to the fraction removed.

        As for `tfprune.prune`: `prune(model, found.ratios, criterion)` gives
        the network of the best trial again.
        """
        return {name: 1 - share for name, share in self.kept.items()}

    def to_dict(self):
        """Returns everything but the model, as plain data."""
        found = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("model", "trials")
        }
        trials = [dataclasses.asdict(trial) for trial in self.trials]
        return {**found, "ratios": self.ratios, "trials": trials}

    @classmethod
    def from_dict(cls, found):
        """Restores the result of `to_dict`, with `None` for the model."""
        found = {k: v for k, v in found.items() if k != "ratios"}
        trials = tuple(map(_trial, found.pop("trials")))
        if found["dense"] is None:
            found["dense"] = math.nan
        # Older files give all groups of a layer its name.
        groups = tuple(channel_graph.unique(found.pop("groups")))
        return cls(trials=trials, groups=groups, model=None, **found)

    def save(self, path):
        """Saves everything but the model as JSON."""
        path = atomic.writable(path)
        atomic.write({path: json_text.written(self.to_dict()).encode()})


def _trial(found):
    """A `Trial` from plain data, where null stands for what is not finite."""
    values = {**found, "kept": tuple(found["kept"])}
    for name, lost in (("accuracy", math.nan), ("reward", -math.inf)):
        if values[name] is None:
            values[name] = lost
    return objective.Trial(**values)


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
    seed: int | None = None,
    checkpoint: typed.Path | None = None,
    progress: bool = True,
    settings: amc.Settings | None = None,
    metric: str | collections.abc.Callable | None = None,
    **options: typing.Any,
) -> Search:
    """Searches for the number of channels to keep in each group.

    The model is traced once: every trial zeroes the weights that read removed
    channels and runs inference. The criterion decides which channels of a
    group are removed. The same arguments give the same trials.

    Args:
        model: a built `keras.Model`, or a model from `tfprune.wrap`, which is
            unwrapped first, as by `strip`. It is not changed.
        data: `(x, y)` to measure accuracy on, used neither in training nor
            for the final test; see `tfprune.datasets.samples`.
        budget: a `tfprune.Budget` that no trial exceeds. `None`, with
            `reward` `"flops"` or `"params"`, lets accuracy decide.
        strategy: `"amc"`, a learning agent; `"random"`, random shares;
            `"one_plus_one"`, which mutates a few groups of the best network
            so far; `"greedy"`, which prunes one group at a time, the least
            sensitive first; `"evolution"` (CMA-ES) and `"bayesian"` (Optuna),
            which need the extra `search`; or a single network: `"uniform"`
            removes the same fraction of each group, `"shallow"` more of the
            first groups, `"deep"` more of the last.
        evaluations: `int`, number of networks to measure; 1 for the last
            three strategies. `"greedy"` also measures networks above the
            budget, which are not trials.
        reward: `"error"`, `"flops"` or `"params"`; see `tfprune.searches.amc`.
            The last two need a metric of at most 1.
        criterion, criterion_data: as `criterion` and `data` of
            `tfprune.prune`.
        recalibrate: inputs on which to recalibrate batch normalization in
            each trial; a few hundred make the trials much more informative.
        reconstruct: inputs on which to refit, in each trial, the weights that
            read kept channels, using activations of the full model (AMC,
            section 3.3). The data are read once.
        limit: `int`, maximum number of samples of `data`; `None` uses all.
        seed: `int`; `None` is that of the settings, 0 by default.
        checkpoint: path of a JSON file that stores every accuracy as soon as
            it is measured. Restarting a stopped search with the same
            arguments reuses the stored accuracies. Searches of the same model
            and data can share a file.
        progress: `bool`, whether to show the latest trials while the search
            runs, if stderr is a terminal.
        settings: `tfprune.searches.amc.Settings`; by default those of the
            paper, with at most a quarter of the trials as warm-up.
        metric: function `(y, outputs) -> numbers` of numpy arrays, one number
            per sample, larger is better; replaces accuracy everywhere.
            If it has a parameter `mask`, that is a list of the Keras mask of
            each output. "neg_mean_absolute_error" and "neg_mean_squared_error"
            are known by name. `None` measures the accuracy.
        **options: instead of `budget`, the arguments of `tfprune.Budget`
            (`macs`, `ram_bytes`, ...); `state` and `lowest`, see
            `PruningEnvironment`; `input_shape`, `min_channels`,
            `channel_multiple`, `target` and `skip`, as for `tfprune.prune`.

    Returns:
        A `Search`.

    Raises:
        ImportError: If the extra `search` is needed and missing.
        TypeError: If a keyword is unknown, or limits are given twice.
        ValueError: If a name is unknown, data are missing, the budget cannot
            be met, or neither budget nor reward bounds the search.

    Example:

    >>> found = tfprune.search(model, (x_val, y_val), macs=0.5)
    >>> found.model, found.ratios
    """
    budget, options = goal.with_limits(budget, options, _KEYWORDS)
    play, metric = strategies.STRATEGIES.get(strategy), metrics.of(metric)
    if not isinstance(evaluations, numbers.Integral) or evaluations < 1:
        raise ValueError(
            "At least one trial is required. Received: "
            f"evaluations={evaluations!r}. Pass a positive int."
        )
    given = isinstance(seed, numbers.Integral) and seed >= 0
    if seed is not None and not given:
        raise ValueError(
            f"`seed` must be an int of at least 0. Received: seed={seed!r}."
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
        settings = amc.Settings(warmup=warmup)
    if seed is not None:
        settings = dataclasses.replace(settings, seed=seed)
    trials, name = [], tally.name_of(metric)
    with progress_bar.live(progress) as show:
        start = time.perf_counter()
        for value, info in play(asked.env, evaluations, settings):
            now = time.perf_counter()
            trials.append(asked.trial(value, info, now - start))
            show(_latest(strategy, name, asked.dense, trials).to_text())
            start = now
    found = Search(
        strategy=strategy,
        groups=asked.groups,
        dense=asked.dense,
        trials=tuple(trials),
        traces=asked.traces,
        evaluated=asked.evaluated,
        model=None,
        metric=name,
    )
    return dataclasses.replace(found, model=asked.model(found.best.kept))


def _latest(strategy, metric, dense, trials):
    """The best trial and the latest ones, as a table."""

    def row(number):
        trial = trials[number]
        return (
            f"{number + 1}",
            tally.text(metric, trial.accuracy),
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
        ("trial", metric, "reward", "MACs", "params", "s", "kept"),
        (("best", *row(best)[1:]), *latest),
        title=f"{strategy}, dense {tally.text(metric, dense)}",
    )
