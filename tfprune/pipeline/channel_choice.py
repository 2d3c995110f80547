"""Chooses channels by a search, with refitted weights and statistics."""

import dataclasses
import functools
import pathlib

import numpy as np

from tfprune import selection
from tfprune import surgery
from tfprune.core import boards
from tfprune.costs import counting
from tfprune.graph import read
from tfprune.searches import amc
from tfprune.searches import objective
from tfprune.searches import strategies
from tfprune.selection import budget as budget_lib
from tfprune.selection import candidates
from tfprune.surgery import reconstruction

_LOWEST = 0.02  # Minimum share of a group in the search.


@dataclasses.dataclass(frozen=True)
class Choice:
    """Channels of one model.

    Attributes:
        keep: bool array, one entry for each channel of the model's graph.
        tried: `int`, networks that the search measured; 0 without one.
    """

    keep: np.ndarray
    tried: int = 0


def choose(model, budget, job, options, evaluations, seed=0, checkpoint=None):
    """Chooses the channels with the lowest loss within a budget.

    Args:
        model: a built `keras.Model`; it is not changed.
        budget: a `tfprune.Budget`.
        job: has `task`, `recipe`, `clock`, `selection` (`(x, y)`) and
            `inputs` (`x`, to fit and measure by, or `None`).
        options: `dict` with `channel_multiple`, `skip`, ... of
            `tfprune.prune`.
        evaluations: `int`, networks to try; 0 takes the criterion's ranking.
        seed: `int`.
        checkpoint: path of the search's checkpoint, to resume from if it
            exists and is of the same samples.

    Returns:
        A `Choice`.

    Raises:
        ValueError: If the budget is out of reach.
    """
    criterion, data = job.recipe.criterion, job.selection
    graph = read.channel_graph(model)
    ranked = ranking(graph, budget, criterion, data, options)
    if evaluations < 1 or job.clock.over or not graph.removable.any():
        return Choice(ranked)
    ask = functools.partial(
        objective.Objective,
        model,
        data,
        budget,
        criterion=criterion,
        criterion_data=data,
        recalibrate=job.inputs,
        reconstruct=job.inputs,
        checkpoint=checkpoint,
        metric=job.task.scores,
        lowest=_lowest(graph, budget, options),
        **options,
    )
    try:
        asked = ask()
    except objective.OtherCheckpoint:
        # Shuffled data give other samples after a kill: begin anew.
        pathlib.Path(checkpoint).unlink()
        asked = ask()
    play = strategies.STRATEGIES.get(job.recipe.strategy)
    best, keep, tried = -np.inf, ranked, 0
    for value, info in play(asked.env, evaluations, amc.Settings(seed=seed)):
        tried += 1
        if value > best:
            best, keep = value, info["keep"]
        job.tell(stage="search", epoch=tried, epochs=evaluations)
        if job.clock.over:
            break
    return Choice(keep, tried)


def ranking(graph, budget, criterion, data, options):
    """`keep` of the channels that a criterion ranks highest in a budget."""
    cut = selection.choose(graph, budget, criterion, data, **options)
    return cut.keep


def least(model, limits, options, table=None, core=None):
    """The smallest costs that pruning can reach, as predicted.

    Args:
        model: a built `keras.Model`.
        limits: names of costs.
        options: `dict`, arguments of `tfprune.prune`.
        table: its latency table, for a limit on latency.
        core: `str`, the core that the arena is for, or `None`.

    Returns:
        `dict` from limits to numbers.
    """
    graph = read.channel_graph(model)
    keep = smallest(graph, options)
    meter = counting.Meter(graph, table, core)
    return {limit: getattr(meter, limit)(keep) for limit in limits}


def smallest(graph, options):
    """`keep` of the smallest network that pruning can leave."""
    every = candidates.Candidates(graph, np.zeros(graph.size), **options)
    return every.keep([0] * len(every.groups))


def _lowest(graph, budget, options):
    """The least share of a group in a search that can meet a budget."""
    every = candidates.Candidates(graph, np.zeros(graph.size), **options)
    counts = [int(np.ceil(_LOWEST * len(order))) for order in every.order]
    keep, meter = every.keep(counts), budget.meter(graph)
    fits = all(
        getattr(meter, name)(keep) <= ceiling
        for name, ceiling in budget.ceilings(meter).items()
    )
    return _LOWEST if fits else np.finfo(float).eps


def shrunk(model, keep, inputs):
    """Builds the smaller model, refitted and recalibrated on inputs.

    Args:
        model: a `keras.Model`.
        keep: bool array.
        inputs: `x`, or `None` to leave the other weights unchanged.

    Returns:
        A `keras.Model`.
    """
    cut = selection.Cut(read.channel_graph(model), keep)
    if inputs is None or keep.all():
        return surgery.apply(cut)
    settings = reconstruction.Reconstruction(inputs="dense")
    return surgery.recalibrate(
        surgery.apply(settings.refit(cut, inputs)), inputs
    )


def on_the_way(dense, target, part):
    """Interpolates limits between the dense model and the budget.

    Args:
        dense, target: `dict`s from limits to numbers.
        part: `float` in (0, 1], fraction of the way, geometrically.

    Returns:
        `dict` from limits to numbers, as of `whole`.
    """
    return {
        name: whole(name, _between(dense[name], ceiling, part))
        for name, ceiling in target.items()
    }


def whole(name, ceiling):
    """A ceiling as an `int` of at least one; a latency as it is.

    It may be less than a microsecond.
    """
    return ceiling if name == "latency" else max(1, int(ceiling))


def _between(dense, ceiling, part):
    if dense <= ceiling:
        return ceiling
    # Rounding must not lead below the budget.
    return max(ceiling, dense * (ceiling / dense) ** part)


def budget_of(ceilings, graph=None, table=None, core=None):
    """A `Budget` of ceilings.

    Args:
        ceilings: `dict` from limits to numbers.
        graph: the `ChannelGraph` of the model to prune.
        table: its latency table, for a limit on latency.
        core: `str`, the core that the arena is for, or `None`.
    """
    meter = counting.Meter(graph, table) if "latency" in ceilings else None
    limits = {
        name: budget_lib.limit(name, ceiling, meter)
        for name, ceiling in ceilings.items()
    }
    return selection.Budget(**limits, latency_table=table, core=core)


def multiple_of(board):
    """The channel multiple of a board's kernels; 1 without a board."""
    return 1 if board is None else boards.get(board).channel_multiple
