"""HRank: scores channels by the rank of their feature maps.

Lin, Ji, Wang, Zhang, Zhang, Tian, Shao, "HRank: Filter Pruning using High-Rank
Feature Map", CVPR 2020, https://arxiv.org/abs/2002.10179:

    score_c = mean over images of rank(map of channel c, after activation)

The authors set the ratio of each layer by hand; to rank each group separately,
pass `ranking="group"` or a `dict` of ratios. The rank is numpy's for float32:
singular values below `largest * max(H, W) * 1.2e-7` count as zero. Channels
without two-dimensional maps, such as those of dense layers, get no score and
stay.
"""

import dataclasses

import numpy as np

from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import feature_maps


@criterion_lib.register(
    "hrank",
    paper="Lin et al., HRank: Filter Pruning using High-Rank Feature Map",
    year=2020,
    url="https://arxiv.org/abs/2002.10179",
    data=criterion_lib.INPUTS,
    cost="forward pass, SVD of every map",
)
@dataclasses.dataclass(frozen=True)
class HRank(criterion_lib.Criterion):
    """Scores channels by the mean rank of their feature maps.

    Args:
        limit: `int`, maximum number of samples to use; `None` uses all. The
            authors use about 500, as the ranks hardly vary between images.
        batch_size: `int`, used if the data are arrays.
    """

    limit: int | None = 500
    batch_size: int = 64

    def scores(self, graph, data):
        """Returns the mean rank of each channel, shape `(graph.size,)`."""
        return feature_maps.mean_over_maps(
            graph,
            np.linalg.matrix_rank,
            data,
            "the criterion 'hrank'",
            self.batch_size,
            self.limit,
            rank=2,
        )
