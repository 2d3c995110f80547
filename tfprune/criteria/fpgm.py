"""FPGM: filters that others can stand in for go first.

He, Liu, Wang, Hu, Yang, "Filter Pruning via Geometric Median for Deep
Convolutional Neural Networks Acceleration", CVPR 2019,
https://arxiv.org/abs/1811.00250. The point nearest to all filters of a layer
is their geometric median; a filter near it holds little that the others lack:

    score_j = sum_{j'} ||F_j - F_j'||_2

A norm does not enter: of the filters 0, 1 and 10 the second one goes. The
authors zero the filters again after every epoch of training; here that is
pruning and fine-tuning in turns.
"""

import numpy as np

from tfprune.scoring import criterion as criterion_lib


@criterion_lib.register(
    "geometric_median",
    "fpgm",
    paper="He et al., Filter Pruning via Geometric Median",
    year=2019,
    url="https://arxiv.org/abs/1811.00250",
)
def geometric_median(values, axis):
    """Sum of the distances to all others for each index of `axis`."""
    filters = np.moveaxis(np.asarray(values, np.float64), axis, 0)
    filters = filters.reshape(len(filters), -1)  # F
    # Where the filters lie does not matter, but rounding is least around 0.
    filters = filters - filters.mean(0)
    squares = np.square(filters).sum(1)
    distances = squares[:, None] + squares - 2 * filters @ filters.T
    np.fill_diagonal(distances, 0)
    return np.sqrt(np.maximum(distances, 0)).sum(1)
