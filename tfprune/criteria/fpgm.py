"""FPGM: scores filters by their distance to the other filters.

He, Liu, Wang, Hu, Yang, "Filter Pruning via Geometric Median for Deep
Convolutional Neural Networks Acceleration", CVPR 2019,
https://arxiv.org/abs/1811.00250. The geometric median of a layer's filters is
the point nearest to all of them; a filter near it is redundant:

    score_j = sum_{j'} ||F_j - F_j'||_2

Norms play no part: of the filters 0, 1 and 10 the second is removed. The
authors zero filters again after every training epoch; here, alternate pruning
and fine-tuning.
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
    """Returns the summed distance to all others for each index of `axis`."""
    filters = np.moveaxis(np.asarray(values, np.float64), axis, 0)
    filters = filters.reshape(len(filters), -1)  # F
    # Distances do not change with the origin; rounding is least around 0.
    filters = filters - filters.mean(0)
    squares = np.square(filters).sum(1)
    distances = squares[:, None] + squares - 2 * filters @ filters.T
    np.fill_diagonal(distances, 0)
    return np.sqrt(np.maximum(distances, 0)).sum(1)
