"""Pruning in one call: score, select, remove."""

import dataclasses
import warnings

import keras

from tfprune.graph import document
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.scoring import score
from tfprune.selection import goal
from tfprune.selection import select
from tfprune.sparsity import wrapper
from tfprune.sparsity import wrapping
from tfprune.surgery import depth
from tfprune.surgery import reconstruction
from tfprune.surgery import stripping


def prune(
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
        criterion: a name, a function `(values, axis) -> scores` or an object
            with `scores(graph, data)`; see `tfprune.scoring.channel_scores`.
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
            `normalize`, see `tfprune.surgery.choose`.

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
    budget, options = goal.of(budget, options)
    if isinstance(model, keras.Model) and wrapper.find(model):
        model = wrapping.unwrap(model)
    model, rest = cut_depth(model, budget, data, input_shape)
    if rest is None:
        return model
    budget = rest
    graph = read.channel_graph(model, input_shape, allow_inexact)
    keep = choose(graph, budget, criterion, data, ranking, **options)
    changes = None
    if reconstruct is not None:
        settings = reconstruction.Reconstruction()
        changes, _ = settings.solve(graph, keep, reconstruct)
    small = rebuild.shrink(graph, keep, changes)
    if graph.inexact:
        warn_of_change(graph, keep, small)
    return small


def cut_depth(model, budget, data, input_shape):
    """The model without whole blocks, and what is left to meet.

    Args:
        model, budget, data, input_shape: as for `prune`.

    Returns:
        `(model, budget)`: the arguments themselves if the budget has no limit
        on depth, else a smaller model and its other limits, `None` if there
        are none. What was a fraction is one of the model that was given.
    """
    if getattr(budget, "depth", None) is None:
        return model, budget
    limits = budget.limits()
    if limits:
        graph = read.channel_graph(model, input_shape)
        ceilings = budget.ceilings(budget.meter(graph))
        limits = {name: max(1, int(n)) for name, n in ceilings.items()}
    model = depth.cut(model, budget.depth, data)
    if not limits:
        return model, None
    return model, dataclasses.replace(budget, depth=None, **limits)


def warn_of_change(graph, keep, small):
    """Warns of what normalizations over fewer channels do to the outputs.

    Args:
        graph: a `ChannelGraph` with `inexact` layers.
        keep: bool array, shape `(graph.size,)`.
        small: the model without the other channels.

    Returns:
        Float, the largest difference of the outputs from those of the model
        with zeros in place of the removed channels, on random inputs,
        relative to the largest output.
    """
    zeros = masked(graph.model, keep, graph)
    change = stripping.output_difference(zeros, small)
    names = ", ".join(graph.inexact[:3])
    more = len(graph.inexact) - 3
    warnings.warn(
        "Normalizations average over fewer channels "
        f"({names}{f' and {more} more' if more > 0 else ''}): the outputs "
        f"differ by {change:.3g} of the largest one from those with zeros in "
        "place of the removed channels. Train the model again.",
        stacklevel=3,
    )
    return change


def choose(
    graph,
    budget=None,
    criterion="l1",
    data=None,
    ranking="global",
    normalize=None,
    **options,
):
    """The channels that `prune` keeps.

    Args:
        graph: a `ChannelGraph`.
        budget, criterion, data, ranking: as for `prune`.
        normalize: how scores are made comparable across groups, as in
            `tfprune.selection.by_budget`; `None` takes what the criterion names
            as its attribute `normalize`, else `"mean"`.
        **options: limits or `ratio`, as for `prune`;
            `min_channels`, `int`, how many channels of each group stay
            at least; `channel_multiple`, `int`, each group keeps a multiple
            of it, or all; `target`, `"cortex-m"`, `"ethos-u55"`,
            `"xnnpack"`, ..., the multiple that its kernels compute in;
            `skip`, name patterns of layers whose channels all stay.

    Returns:
        Bool array, shape `(graph.size,)`.
    """
    budget, options = goal.of(budget, options)
    criterion = score.find(criterion)
    scores = score.channel_scores(graph, criterion, data)
    normalize = normalize or getattr(criterion, "normalize", "mean")
    if isinstance(budget, select.Budget):
        keep = select.by_budget(
            graph, scores, budget, ranking, normalize, **options
        )
    else:
        keep = select.by_ratio(graph, scores, budget, **options)
    refine = getattr(criterion, "refine", None)
    return keep if refine is None else refine(graph, keep)


def masked(model, keep, graph=None):
    """The model with zeros where removed channels would be read.

    Args:
        model: a built `keras.Model`; it is not changed.
        keep: bool array, one entry for each channel of the model's graph.
        graph: the `ChannelGraph` of `model`, if it is at hand.

    Returns:
        A model with the same shapes as `model`, for which `strip` gives what
        `prune` would.
    """
    graph = graph or read.channel_graph(model)
    return rebuild.build(
        graph.model,
        document.copied(graph.config),
        lambda variable: stripping.zero_reads(graph, keep, variable),
    )
