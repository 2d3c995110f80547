"""Random scores: the baseline that every criterion must beat."""

import dataclasses

import numpy as np

from tfprune.scoring import criterion as criterion_lib


@criterion_lib.register(
    "random",
    "chance",
    paper="Mittal et al., Recovering from Random Pruning",
    year=2018,
    url="https://arxiv.org/abs/1801.10447",
    cost="nothing",
)
@dataclasses.dataclass(frozen=True)
class Chance(criterion_lib.Criterion):
    """Scores channels uniformly at random.

    Args:
        seed: `int`.
    """

    seed: int = 0

    def scores(self, graph, data=None):
        """Returns a number in [0, 1) per channel, shape `(graph.size,)`."""
        del data
        return np.random.default_rng(self.seed).random(graph.size)
