"""Normalizers that make the scores of different groups comparable.

Each function maps the scores of one group to as many numbers in the same order;
the ranking within a group does not change.
"""

import numpy as np

from tfprune.core import registry

normalizers = registry.Registry("normalization of scores")


@normalizers.register("none")
def none(scores):
    """Keeps scores unchanged, for scores of one scale, such as losses."""
    return scores


@normalizers.register("mean")
def mean(scores):
    """Divides scores by the mean of their group."""
    return _over(scores, scores.mean() if scores.size else 0)


@normalizers.register("max")
def largest(scores):
    """Divides scores by the largest of their group."""
    return _over(scores, scores.max(initial=0))


@normalizers.register("size")
def size(scores):
    """Divides scores by the size of their group, so wide groups lose more."""
    return scores / max(len(scores), 1)


@normalizers.register("lamp")
def lamp(scores):
    """Divides scores by the sum of all scores that are no smaller.

        lamp(u) = s_u / sum_{v: s_v >= s_u} s_v

    The largest score of a group becomes 1, so no group loses its last channel
    before all other groups have. Equal scores get equal results.

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
