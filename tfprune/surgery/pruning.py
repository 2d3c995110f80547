"""Pruning in one call: score, select, remove."""

import typing

import keras

from tfprune.core import typed
from tfprune.graph import read
from tfprune.selection import budget as budget_lib
from tfprune.selection import cut as cut_lib
from tfprune.selection import goal
from tfprune.sparsity import wrapper
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
    """A smaller model, without the channels that score lowest.

    The channels are removed as if every weight that reads them were set to
    zero and the model stripped.

    Args:
        model: a built `keras.Model`, or a model from `tfprune.wrap`, of which
            the plain layers that it stands for are pruned, as by `strip`. It
            is not changed.
        budget: what may remain, a `tfprune.Budget`; or what goes, a ratio: a
            float in [0, 1), the share of each group's channels to remove, or
            a `dict` from name patterns to such shares, as in
            `tfprune.selection.by_ratio`. So `prune(model, 0.9)` removes nine
            channels of ten; `prune(model, macs=0.9)` keeps nine tenths of the
            multiply-adds. The keywords below say the same by name.
        criterion: a name, a function `(values, axis) -> scores` or a
            `Criterion`; see `tfprune.scoring.channel_scores`.
        data: what the criterion needs; `"l1"` and `"l2"` need nothing.
        ranking: `"global"`, `"group"` or `"raw"`, for a `Budget`; see
            `tfprune.selection.by_budget`.
        reconstruct: inputs, as `data`, to fit the weights that read the kept
            channels on, so that they make up for the removed ones; see
            `tfprune.reconstruct`.
        input_shape: the size of one input, as for `tfprune.channel_graph`;
            needed for limits on MACs where the model's input has open sizes.
        allow_inexact: `bool`, whether channels may go that a normalization
            averages over (LayerNormalization, GroupNormalization,
            RMSNormalization, UnitNormalization); a warning tells by how much
            the outputs differ from those with zeros in their place.
        **options: in the place of `budget`, the arguments of `tfprune.Budget`
            (`macs`, `params`, `channels`, `ram_bytes`, `depth`, ...) or
            `ratio`; `min_channels`, `channel_multiple`, `target`, `skip` and
            `normalize`, see `tfprune.selection.choose`.

    Returns:
        A plain Keras model of the same class, not fine-tuned.

    Raises:
        TypeError: If `model`, `budget` or `criterion` is of the wrong type,
            or no argument, or more than one, says how much goes.
        ValueError: If the model cannot be read, the budget cannot be met, a
            name is unknown, a pattern fits nothing, weights are NaN or data
            are missing.

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
    """What `prune` takes out, before it does.

    The model is read once, and once more where whole blocks go.

    Args:
        model, budget, criterion, data, ranking, reconstruct, input_shape,
            allow_inexact, **options: as for `prune`.

    Returns:
        A `Cut`: of the plain layers of `model`, without the blocks that a
        limit on depth takes out.

    Raises:
        TypeError, ValueError: as `prune`.
    """
    budget, options = goal.of(budget, options)
    if isinstance(model, keras.Model) and wrapper.find(model):
        model = wrapping.unwrap(model)
    graph = read.channel_graph(model, input_shape, allow_inexact)
    if isinstance(budget, budget_lib.Budget) and budget.depth is not None:
        model, budget = depth.cut(graph, budget, data)
        graph = read.channel_graph(model, input_shape, allow_inexact)
        if budget is None:
            return cut_lib.Cut.whole(graph)
    cut = cut_lib.choose(graph, budget, criterion, data, ranking, **options)
    if reconstruct is not None:
        cut = reconstruction.Reconstruction().refit(cut, reconstruct)
    return cut
