"""DepGraph's group norm: all weights that a channel touches count.

Fang, Ma, Song, Mi, Wang, "DepGraph: Towards Any Structural Pruning", CVPR
2023, https://arxiv.org/abs/2301.12900. For the weights `w` that go with a
channel c, those that write it, those that read it and the scales of batch
normalisation,

    I_c = mean over these tensors of sum |w[c]|^p,        p = 2

divided by the mean of its group, so that groups can be ranked together.
Kernels that work channel by channel (depthwise) are counted too, which the
authors' code does not do.
"""

import dataclasses

import numpy as np

from tfprune import score
from tfprune.graph import values

COUNTED = ("gamma", "kernel")


@score.register(
    "group_norm",
    paper="Fang et al., DepGraph: Towards Any Structural Pruning",
    year=2023,
    url="https://arxiv.org/abs/2301.12900",
)
@dataclasses.dataclass(frozen=True)
class GroupNorm:
    """The mean of the powers of all weights that go with a channel.

    Args:
        p: `float`, the power.
    """

    p: float = 2.0
    normalize = "mean"

    def scores(self, graph, data=None):
        """`I_c` for each channel, shape `(graph.size,)`."""
        del data
        total, tensors = np.zeros((2, graph.size))
        for b in graph.bindings:
            if not b.attribute.endswith(COUNTED):
                continue
            power = np.abs(values.numpy(b.variable)) ** self.p
            others = tuple(a for a in range(power.ndim) if a != b.axis)
            np.add.at(total, b.labels, power.sum(others))
            tensors[np.unique(b.labels)] += 1
        return total / np.maximum(tensors, 1)
