"""Filter norms: scores filters by the norm of their weights.

Li, Kadav, Durdanovic, Samet, Graf, "Pruning Filters for Efficient ConvNets",
2016, https://arxiv.org/abs/1608.08710, section 3.1. The score of filter j of
layer i, whose weights are `F_{i,j}`, is its norm,

    s_{i,j} = sum |F_{i,j}|        (L1; the paper's choice)

and the authors see no notable difference with the L2 norm. Norms of whole
filters treat layers independently (section 3.3). The greedy variant goes from
the first layer to the last and leaves weights that read removed channels out
of the sum.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from tfprune.graph import channel_graph
from tfprune.scoring import adapters
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import score

_PAPER = functools.partial(
    criterion_lib.register,
    paper="Li et al., Pruning Filters for Efficient ConvNets",
    year=2016,
    url="https://arxiv.org/abs/1608.08710",
)


def _others(values, axis):
    return tuple(a for a in range(values.ndim) if a != axis % values.ndim)


@_PAPER("l1")
def l1(values, axis):
    """Returns the sum of absolute values for each index of `axis`."""
    return np.abs(values).sum(_others(values, axis))


@_PAPER("l2")
def l2(values, axis):
    """Returns the Euclidean norm for each index of `axis`."""
    return np.sqrt(np.square(values).sum(_others(values, axis)))


@_PAPER("l1_greedy")
@dataclasses.dataclass(frozen=True)
class Greedy(criterion_lib.Criterion):
    """Scores channels by filter norm, then chooses greedily by group.

    The norms of whole filters decide how many channels each group loses;
    the greedy pass, in the order of the model, decides which.

    Args:
        norm: function `(values, axis) -> scores`.

    Example:

    >>> small = tfprune.prune(model, 0.5, criterion=Greedy())
    """

    norm: Callable = l1

    def scores(self, graph, data=None):
        """Returns the norms of the whole filters."""
        del data
        return score.OfWriters(self.norm).scores(graph)

    def refine(self, graph, keep):
        """Chooses anew which channels stay, as many per group as in `keep`.

        Args:
            graph: a `ChannelGraph`.
            keep: bool array, shape `(graph.size,)`.

        Returns:
            Bool array of that shape.
        """
        settled = np.ones(graph.size, bool)
        for group in graph.groups:
            kept = int(keep[group.labels].sum())
            if kept == len(group):
                continue
            scores = _without_removed(graph, self.norm, group, settled)
            order = np.argsort(-scores[group.labels], kind="stable")
            settled[group.labels[order[kept:]]] = False
        return settled


def _without_removed(graph, norm, group, keep):
    """Norms of a group's filters, less weights that read removed channels."""
    scores = np.zeros(graph.size)
    writes = (
        b
        for b in graph.bindings
        if b.role == channel_graph.WRITES
        and np.isin(b.labels, group.labels).any()
    )
    for binding, array in adapters.whole(graph, writes):
        for other in graph.bound(binding.variable):
            if other.role == channel_graph.READS:
                kept = np.flatnonzero(keep[other.labels])
                array = np.take(array, kept, other.axis)
        np.add.at(scores, binding.labels, norm(array, binding.axis))
    return scores
