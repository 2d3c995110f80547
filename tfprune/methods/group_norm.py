"""DepGraph's group norm: scores a channel by all weights that it touches.

Fang, Ma, Song, Mi, Wang, "DepGraph: Towards Any Structural Pruning", CVPR
2023, https://arxiv.org/abs/2301.12900. For the weights `w` of a channel c
(those that write it, those that read it and the batch normalization scales),

    I_c = mean over these tensors of sum |w[c]|^p,        p = 2

divided by the mean of its group, so that groups can be ranked together.
Depthwise kernels count too, unlike in the authors' code.

Before that, a penalty in training drives the channels of a group apart: over
all weights `w[k]` of channel k,

    R = strength / 2 * sum_k gamma_k ||w[k]||^2
    gamma_k = 2^(alpha (I_max - I_k) / (I_max - I_min)),     alpha = 4

so the least important channels decay 16 times as fast as the most important
ones. A kernel decays for the channels that it reads and for those it writes.
"""

import dataclasses

import keras
import numpy as np

from tfprune.core import records
from tfprune.graph import channel_graph
from tfprune.graph import read
from tfprune.scoring import adapters
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import score
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import weights

# Beside what writes or reads a channel; biases do not count.
COUNTED = ("gamma", "kernel")


@criterion_lib.register(
    "group_norm",
    paper="Fang et al., DepGraph: Towards Any Structural Pruning",
    year=2023,
    url="https://arxiv.org/abs/2301.12900",
)
@dataclasses.dataclass(frozen=True)
class GroupNorm(criterion_lib.Criterion):
    """Scores a channel by the mean p-th power norm of all its weights.

    Args:
        p: `float`, the power.
    """

    p: float = 2.0
    normalize = "mean"

    def scores(self, graph, data=None):
        """Returns `I_c` for each channel, shape `(graph.size,)`."""
        del data
        tensors = [b for b in graph.bindings if _is_counted(b)]
        whole = list(adapters.whole(graph, tensors))
        powers = ((b, np.abs(array) ** self.p) for b, array in whole)
        total = score.summed(graph, powers)
        count = score.counted(graph, [b for b, _ in whole])
        return total / np.maximum(count, 1)


def _is_counted(binding):
    if binding.attribute.endswith("bias"):  # That of queries reads the keys.
        return False
    mixes = binding.role != channel_graph.CARRIES
    return mixes or binding.attribute.endswith(COUNTED)


@method_lib.register("group_sparsity")
@dataclasses.dataclass(frozen=True)
class GroupSparsity(method_lib.Method):
    """Applies stronger weight decay to a group's less important channels.

    Every scheduled update of `PruneOnSchedule` recomputes the factors from
    the weights. The schedule's value, between 0 and 1, scales them, so a ramp
    increases the decay gradually.

    Args:
        strength: `float`, weight decay of the most important channel.
        alpha: `float`, the least important channel decays `2 ** alpha` times
            as fast.
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
            records.check_number(self, name, "[0, inf)")

    def sites(self, layer):
        return weights.names(layer) or weights.scales(layer)

    def build(self, slot):
        slot.add_weight(
            "factor", slot.shape, initializer="zeros", trainable=False
        )

    def penalty(self, slot):
        # Squares of small weights are zero in half precision.
        dtype = keras.backend.result_type(slot.kernel.dtype, "float32")
        squares = keras.ops.square(keras.ops.cast(slot.kernel.value, dtype))
        pulled = keras.ops.cast(slot["factor"].value, dtype) * squares
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
        """Returns `gamma_k`, shape `(graph.size,)`; 0 for frozen channels."""
        importance = GroupNorm(self.p).scores(graph)
        gamma = np.zeros(graph.size)
        for group in graph.groups:
            if group.frozen:
                continue
            below = importance[group.labels].max() - importance[group.labels]
            rise = below / (below.max() or 1.0)
            gamma[group.labels] = 2.0 ** (self.alpha * rise)
        return gamma

    only_penalizes = True

    def check(self, sparsity, budget=None):
        if budget is not None:
            raise ValueError(
                "A budget needs a method that removes channels. Received: "
                f"budget={budget}, which a penalty cannot meet. Prune to it "
                "after training, with `tfprune.prune`."
            )
