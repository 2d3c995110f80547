"""APoZ: scores channels by how rarely they are zero.

Hu, Peng, Tai, Tang, "Network Trimming: A Data-Driven Neuron Pruning Approach
towards Efficient Deep Architectures", 2016, https://arxiv.org/abs/1607.03250.
APoZ is the average percentage of zeros in a channel after its ReLU;

    score_c = 1 - APoZ_c

After an activation that is never zero, all channels score 1.
"""

import dataclasses

from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import feature_maps


@criterion_lib.register(
    "apoz",
    paper="Hu et al., Network Trimming",
    year=2016,
    url="https://arxiv.org/abs/1607.03250",
    data=criterion_lib.INPUTS,
    cost=criterion_lib.FORWARD,
)
@dataclasses.dataclass(frozen=True)
class Apoz(criterion_lib.Criterion):
    """Scores channels by their fraction of nonzero activations.

    Args:
        limit: `int`, maximum number of samples to use; `None` uses all.
        batch_size: `int`, used if the data are arrays.
    """

    limit: int | None = None
    batch_size: int = 64

    def scores(self, graph, data):
        """Returns each channel's nonzero fraction, shape `(graph.size,)`."""
        return feature_maps.mean_over_maps(
            graph,
            lambda maps: (maps != 0).mean(tuple(range(2, maps.ndim))),
            data,
            "the criterion 'apoz'",
            self.batch_size,
            self.limit,
        )
