"""Pruning in one call: score, select, remove."""

import typing

import keras
import numpy as np

from tfprune.core import typed
from tfprune.graph import read
from tfprune.selection import budget as budget_lib
from tfprune.selection import candidates as candidates_lib
from tfprune.selection import cut as cut_lib
from tfprune.selection import goal
from tfprune.sparsity import wrapping
from tfprune.surgery import depth
from tfprune.surgery import reconstruction
from tfprune.surgery import shrinking
from tfprune.surgery import verification


def prune(
    model: keras.Model,
    budget: budget_lib.Budget | typed.Ratios | None = None,
    criterion: typing.Any = "l1",
    data: typed.Data = None,
    ranking: str = "global",
    reconstruct: typed.Data = None,
    input_shape: typed.Shapes | None = None,
    allow_inexact: bool = False,
    **options: typing.Unpack[goal.Options],
) -> keras.Model:
    """Prunes a model to a budget, or by a ratio.

    Removes the lowest-scoring channels. The result is that of setting every
    weight that reads them to zero and stripping the model.

    Args:
        model: a built `keras.Model`, or a model from `tfprune.wrap`, which is
            unwrapped first, as by `strip`. It is not changed.
        budget: how much to keep, a `tfprune.Budget`; or how much to remove, a
            ratio: a float in [0, 1), the fraction of each group's channels to
            remove, or a `dict` from name patterns to such fractions, as in
            `tfprune.selection.by_ratio`. `prune(model, 0.9)` removes 90 % of
            the channels; `prune(model, macs=0.9)` keeps 90 % of the
            multiply-adds. The keywords below are equivalent.
        criterion: a name, a function `(values, axis) -> scores` or a
            `Criterion`; see `tfprune.scoring.channel_scores`.
        data: data for the criterion; `"l1"` and `"l2"` need none.
        ranking: `"global"`, `"group"` or `"raw"`, for a `Budget`; see
            `tfprune.selection.by_budget`.
        reconstruct: inputs, as `data`, on which to refit the weights that
            read the kept channels, so that they compensate for the removed
            ones; see `tfprune.reconstruct`.
        input_shape: shape of one input, as for `tfprune.channel_graph`;
            required for limits on MACs if the model's input sizes are
            unknown.
        allow_inexact: `bool`, whether to allow removing channels that a
            normalization averages over (LayerNormalization,
            GroupNormalization, RMSNormalization, UnitNormalization). A
            warning reports how far the outputs then differ from those with
            the channels set to zero.
        **options: instead of `budget`, the arguments of `tfprune.Budget`
            (`macs`, `params`, `channels`, `ram_bytes`, `depth`, ...) or
            `ratio`; also `min_channels`, `channel_multiple`, `target`, `skip`
            and `normalize`; see `tfprune.selection.choose`.

    Returns:
        A plain Keras model of the same class, not fine-tuned.

    Raises:
        TypeError: If `model`, `budget` or `criterion` has the wrong type, or
            no argument, or more than one, says how much to remove.
        ValueError: If the model cannot be read, the budget cannot be met, a
            name is unknown, a pattern matches nothing, weights are NaN or
            data are missing.

    Example:

    >>> small = tfprune.prune(model, macs=0.5)
    """
    cut = plan(
        model,
        budget,
        criterion,
        data,
        ranking,
        reconstruct,
        input_shape,
        allow_inexact,
        **options,
    )
    small = shrinking.apply(cut)
    if cut.graph.inexact and not cut.keep.all():
        verification.warn_of_change(cut, small)
    return small


def plan(
    model,
    budget=None,
    criterion="l1",
    data=None,
    ranking="global",
    reconstruct=None,
    input_shape=None,
    allow_inexact=False,
    **options,
):
    """Plans what `prune` removes, without removing it.

    The model is read once, and again if whole blocks are removed.

    Args:
        model, budget, criterion, data, ranking, reconstruct, input_shape,
            allow_inexact, **options: as for `prune`.

    Returns:
        A `Cut` of the unwrapped model, from which blocks beyond a limit on
        depth have already been removed.

    Raises:
        TypeError, ValueError: as `prune`.
    """
    budget, options = goal.of(budget, options)
    model = wrapping.plain(model)
    graph = read.channel_graph(model, input_shape, allow_inexact)
    if isinstance(budget, budget_lib.Budget) and budget.depth is not None:
        graph, budget, skip = depth.cut(
            *(graph, budget, data, options.get("skip", ())),
            input_shape=input_shape,
            allow_inexact=allow_inexact,
        )
        options = {**options, "skip": skip}
        if budget is None:
            return _whole(graph, **options)
    cut = cut_lib.choose(graph, budget, criterion, data, ranking, **options)
    if reconstruct is not None:
        cut = reconstruction.Reconstruction().refit(cut, reconstruct)
    return cut


def _whole(graph, normalize=None, **options):
    """A `Cut` that keeps all channels, if the keywords are those of others."""
    candidates_lib.Candidates(graph, np.zeros(graph.size), **options)
    return cut_lib.Cut.whole(graph)
