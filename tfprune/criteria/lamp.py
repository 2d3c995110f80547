"""LAMP: magnitude scores that are comparable across layers.

Lee, Park, Mo, Ahn, Shin, "Layer-adaptive Sparsity for the Magnitude-based
Pruning", ICLR 2021, https://arxiv.org/abs/2010.07611. The score of a weight is
its square, divided by the sum of all squares in its layer that are no smaller,

    score(u) = w_u^2 / sum_{v: w_v^2 >= w_u^2} w_v^2

and one threshold holds for all layers. The paper prunes single weights. This
adapts it to channels: the sum of squares of all weights that write a channel
replaces `w^2`, and groups replace layers.
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
    """Scores channels by squared norm over all squared norms no smaller."""

    normalize = "none"

    def scores(self, graph, data=None):
        """Returns each channel's score in [0, 1], shape `(graph.size,)`."""
        del data
        squares = score.OfWriters(_squares).scores(graph)
        scores = np.zeros(graph.size)
        for group in graph.groups:
            scores[group.labels] = normalizers.lamp(squares[group.labels])
        return scores


def _squares(values, axis):
    others = tuple(a for a in range(values.ndim) if a != axis % values.ndim)
    return np.square(values).sum(others)
