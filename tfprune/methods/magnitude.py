"""Filter norms: small filters go first.

Li, Kadav, Durdanovic, Samet, Graf, "Pruning Filters for Efficient ConvNets",
2016, https://arxiv.org/abs/1608.08710, section 3.1. The score of filter j of
layer i, whose weights are `F_{i,j}`, is its norm,

    s_{i,j} = sum |F_{i,j}|        (L1; the paper's choice)

and the authors see no notable difference with the L2 norm.
"""

import numpy as np

from tfprune import score


def _others(values, axis):
    return tuple(a for a in range(values.ndim) if a != axis % values.ndim)


@score.criteria.register("l1")
def l1(values, axis):
    """Sum of absolute values for each index of `axis`."""
    return np.abs(values).sum(_others(values, axis))


@score.criteria.register("l2")
def l2(values, axis):
    """Euclidean norm for each index of `axis`."""
    return np.sqrt(np.square(values).sum(_others(values, axis)))
