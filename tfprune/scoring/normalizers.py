"""Makes the scores of different groups comparable, for one ranking of all.

Each function takes the scores of one group, in any order, and returns as many
numbers in the same order; within a group the ranking stays as it is.
"""

import numpy as np

from tfprune.core import registry

normalizers = registry.Registry("normalization of scores")


@normalizers.register("none")
def none(scores):
    """The scores as they are: for scores of one scale, as gammas or losses."""
    return scores


@normalizers.register("mean")
def mean(scores):
    """Scores over the mean of their group."""
    return _over(scores, scores.mean() if scores.size else 0)


@normalizers.register("max")
def largest(scores):
    """Scores over the largest of their group, whose best channels stay."""
    return _over(scores, scores.max(initial=0))


@normalizers.register("size")
def size(scores):
    """Scores over the number of channels of their group: wide ones lose."""
    return scores / max(len(scores), 1)


@normalizers.register("lamp")
def lamp(scores):
    """Scores over the sum of all scores that are not smaller.

        lamp(u) = s_u / sum_{v: s_v >= s_u} s_v

    The largest of a group gets 1, so that no group loses its last channel
    before all others have. Equal scores get equal results.

    Reference:

    - Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning",
      2021, https://arxiv.org/abs/2010.07611, where `s` is a squared weight
    """
    scores = np.asarray(scores, np.float64)
    ascending = np.sort(scores)
    tails = np.cumsum(ascending[::-1])[::-1]
    # Equal scores share the sum that starts at the first of them.
    sums = tails[np.searchsorted(ascending, scores, side="left")]
    return np.divide(scores, sums, out=np.zeros_like(scores), where=sums > 0)


def _over(scores, divisor):
    return scores / divisor if divisor > 0 else scores
