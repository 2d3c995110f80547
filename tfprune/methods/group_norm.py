"""DepGraph's group norm: all weights that a channel touches count.

Fang, Ma, Song, Mi, Wang, "DepGraph: Towards Any Structural Pruning", CVPR
2023, https://arxiv.org/abs/2301.12900. For the weights `w` that go with a
channel c, those that write it, those that read it and the scales of batch
normalisation,

    I_c = mean over these tensors of sum |w[c]|^p,        p = 2

divided by the mean of its group, so that groups can be ranked together.
Kernels that work channel by channel (depthwise) are counted too, which the
authors' code does not do.

Before that the network is trained with a penalty that draws the channels of a
group apart: of all weights `w[k]` that go with channel k,

    R = strength / 2 * sum_k gamma_k ||w[k]||^2
    gamma_k = 2^(alpha (I_max - I_k) / (I_max - I_min)),     alpha = 4

so that the least important channels are pulled 16 times as hard. A kernel is
pulled for the channels that it reads and for those that it writes.
"""

import dataclasses

import keras
import numpy as np

from tfprune.graph import read
from tfprune.graph import values
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import score
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import weights

COUNTED = ("gamma", "kernel")


@criterion_lib.register(
    "group_norm",
    paper="Fang et al., DepGraph: Towards Any Structural Pruning",
    year=2023,
    url="https://arxiv.org/abs/2301.12900",
)
@dataclasses.dataclass(frozen=True)
class GroupNorm(criterion_lib.Criterion):
    """The mean of the powers of all weights that go with a channel.

    Args:
        p: `float`, the power.
    """

    p: float = 2.0
    normalize = "mean"

    def scores(self, graph, data=None):
        """`I_c` for each channel, shape `(graph.size,)`."""
        del data
        tensors = [b for b in graph.bindings if b.attribute.endswith(COUNTED)]
        powers = (
            (b, np.abs(values.numpy(b.variable)) ** self.p) for b in tensors
        )
        total = score.summed(graph, powers)
        return total / np.maximum(score.counted(graph, tensors), 1)


@method_lib.register("group_sparsity")
@dataclasses.dataclass(frozen=True)
class GroupSparsity(method_lib.Method):
    """Weight decay that is stronger for the less important of a group.

    The factors are computed anew from the weights whenever the schedule of a
    `PruneOnSchedule` falls due; its value, between 0 and 1, scales them, so a
    ramp lets the decay grow.

    Args:
        strength: `float`, the decay of the most important channel.
        alpha: `float`, the exponent of two for the least important one.
        p: `float`, as for `GroupNorm`.

    Example:

    >>> wrapped = tfprune.wrap(
    ...     model,
    ...     tfprune.methods.GroupSparsity(5e-4),
    ...     where=[tfprune.kernels, tfprune.normalizations],
    ... )
    >>> every_epoch = tfprune.schedules.Constant(1.0, frequency="1 epoch")
    >>> wrapped.fit(dataset, callbacks=[tfprune.PruneOnSchedule(every_epoch)])
    >>> small = tfprune.prune(wrapped, budget, "group_norm")
    """

    strength: float = 5e-4
    alpha: float = 4.0
    p: float = 2.0

    def __post_init__(self):
        for name in ("strength", "alpha"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"`{name}` must not be negative. Received: "
                    f"{name}={getattr(self, name)!r}."
                )

    def sites(self, layer):
        return weights.names(layer) or weights.scales(layer)

    def build(self, slot):
        slot.add_weight(
            "factor", slot.shape, initializer="zeros", trainable=False
        )

    def penalty(self, slot):
        squares = keras.ops.square(slot.kernel)
        pulled = slot["factor"].value * keras.ops.cast(squares, "float32")
        return self.strength / 2 * keras.ops.sum(pulled)

    def update(self, model, slots, sparsity, budget=None, data=None):
        graph = read.channel_graph(model)
        gamma = sparsity * self.gamma(graph)
        for slot in slots:
            factor = np.zeros(slot.shape, "float32")
            for binding in graph.bound(slot.kernel):
                last = np.moveaxis(factor, binding.axis, -1)
                last += gamma[binding.labels]
            slot["factor"].assign(factor)

    def gamma(self, graph):
        """`gamma_k` of each channel, shape `(graph.size,)`; 0 where frozen."""
        importance = GroupNorm(self.p).scores(graph)
        gamma = np.zeros(graph.size)
        for group in graph.groups:
            if group.frozen:
                continue
            below = importance[group.labels].max() - importance[group.labels]
            rise = below / (below.max() or 1.0)
            gamma[group.labels] = 2.0 ** (self.alpha * rise)
        return gamma

    def check(self, sparsity, budget=None):
        if budget is not None:
            raise ValueError(
                "A budget needs a method that removes channels. Received: "
                f"budget={budget}, which a penalty does not meet. Prune to it "
                "after the training, with `tfprune.prune`."
            )
