"""Network slimming: scores channels by their batch normalization scale.

Liu, Li, Shen, Huang, Yan, Zhang, "Learning Efficient Convolutional Networks
through Network Slimming", ICCV 2017, https://arxiv.org/abs/1708.06519:

    loss + strength * sum_c |gamma_c|       in training
    score_c = |gamma_c|                     afterwards

with one threshold for all layers. The penalty is part of the loss, so it acts
through the optimizer, as in the authors' code, which adds `strength *
sign(gamma)` to the gradient. If several normalizations scale a channel, its
score is the mean of theirs. Channels without a scale get no score and stay.
"""

import dataclasses

import keras
import numpy as np

from tfprune.core import records
from tfprune.graph import values
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import score
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import weights


@method_lib.register("slimming")
@dataclasses.dataclass(frozen=True)
class Slimming(method_lib.Method):
    """Applies an L1 penalty to batch normalization scales in training.

    Args:
        strength: `float`, penalty coefficient of each `|gamma|`. The paper
            uses 1e-4 for VGG, 1e-5 for residual networks.

    Example:

    >>> wrapped = tfprune.wrap(
    ...     model, tfprune.methods.Slimming(1e-4), where=tfprune.normalizations)
    >>> wrapped.fit(dataset, epochs=160)
    >>> small = tfprune.prune(
    ...     wrapped, tfprune.Budget(channels=0.5), "slimming")
    """

    strength: float = 1e-4

    def __post_init__(self):
        records.check_number(self, "strength", "[0, inf)")

    def sites(self, layer):
        return weights.scales(layer)

    def penalty(self, slot):
        dtype = keras.backend.result_type(slot.kernel.dtype, "float32")
        gamma = keras.ops.cast(slot.kernel.value, dtype)
        # |gamma|, written so that its derivative at 0 is 0 on every backend.
        sign = keras.ops.stop_gradient(keras.ops.sign(gamma))
        return self.strength * keras.ops.sum(gamma * sign)


@criterion_lib.register(
    "slimming",
    paper="Liu et al., Learning Efficient Convolutional Networks through "
    "Network Slimming",
    year=2017,
    url="https://arxiv.org/abs/1708.06519",
)
@dataclasses.dataclass(frozen=True)
class BatchNormScale(criterion_lib.Criterion):
    """Scores channels by the absolute value of their normalization scale."""

    normalize = "none"

    def scores(self, graph, data=None):
        """Returns `|gamma_c|` for each channel, shape `(graph.size,)`.

        Raises:
            ValueError: If no channel that can be removed has a scale.
        """
        del data
        gammas = [b for b in graph.bindings if _is_scale(graph, b)]
        total = score.summed(
            graph, ((b, np.abs(values.numpy(b.variable))) for b in gammas)
        )
        ones = ((b, np.ones(b.labels.size)) for b in gammas)
        scales = score.summed(graph, ones)
        if not (scales[graph.removable] > 0).any():
            raise ValueError(
                "Network slimming needs channels with a scale. Received: "
                f"model={graph.model.name!r}, in which no removable channel "
                "has BatchNormalization(scale=True). Use another criterion, "
                "such as 'l1'."
            )
        return np.divide(
            total, scales, out=np.full(graph.size, np.inf), where=scales > 0
        )


def _is_scale(graph, binding):
    layer = graph.layers[binding.layer]
    while isinstance(layer, keras.layers.Wrapper):
        layer = layer.layer
    normalises = isinstance(layer, keras.layers.BatchNormalization)
    return normalises and binding.attribute.endswith("gamma")
