"""LAMP: magnitudes that can be compared from layer to layer.

Lee, Park, Mo, Ahn, Shin, "Layer-adaptive Sparsity for the Magnitude-based
Pruning", ICLR 2021, https://arxiv.org/abs/2010.07611. The score of a weight is
its square over the sum of the squares of its layer that are not smaller,

    score(u) = w_u^2 / sum_{v: w_v^2 >= w_u^2} w_v^2

and one threshold holds for all layers. The paper prunes single weights; this is
a reconstruction for channels, with the sum of the squares of everything that
writes a channel in the place of `w^2`, and groups in the place of layers.
"""

import dataclasses

import numpy as np

from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import normalizers
from tfprune.scoring import score


@criterion_lib.register(
    "lamp",
    paper="Lee et al., Layer-adaptive Sparsity for the Magnitude-based Pruning",
    year=2021,
    url="https://arxiv.org/abs/2010.07611",
)
@dataclasses.dataclass(frozen=True)
class Lamp(criterion_lib.Criterion):
    """Squared norms over all squared norms that are not smaller."""

    normalize = "none"

    def scores(self, graph, data=None):
        """A score in [0, 1] for each channel, shape `(graph.size,)`."""
        del data
        squares = score.OfWriters(_squares).scores(graph)
        scores = np.zeros(graph.size)
        for group in graph.groups:
            scores[group.labels] = normalizers.lamp(squares[group.labels])
        return scores


def _squares(values, axis):
    others = tuple(a for a in range(values.ndim) if a != axis % values.ndim)
    return np.square(values).sum(others)
