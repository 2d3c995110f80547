"""Network slimming: channels that batch normalisation scales down go first.

Liu, Li, Shen, Huang, Yan, Zhang, "Learning Efficient Convolutional Networks
through Network Slimming", ICCV 2017, https://arxiv.org/abs/1708.06519:

    score_c = |gamma_c|

with one threshold for all layers. It means most after a training that pulls
the scales towards zero. Where several normalisations scale a channel, this is
the mean of theirs. Channels without a scale are not judged and stay.
"""

import dataclasses

import keras
import numpy as np

from tfprune import score
from tfprune.graph import values


@score.register(
    "slimming",
    paper="Liu et al., Learning Efficient Convolutional Networks through "
    "Network Slimming",
    year=2017,
    url="https://arxiv.org/abs/1708.06519",
)
@dataclasses.dataclass(frozen=True)
class BatchNormScale:
    """The absolute scale that batch normalisation gives a channel."""

    normalize = "none"

    def scores(self, graph, data=None):
        """`|gamma_c|` for each channel, shape `(graph.size,)`.

        Raises:
            ValueError: If no channel that can be removed has a scale.
        """
        del data
        total, scales = np.zeros((2, graph.size))
        for b in graph.bindings:
            layer = graph.layers[b.layer]
            normalises = isinstance(layer, keras.layers.BatchNormalization)
            if normalises and b.attribute == "gamma":
                np.add.at(total, b.labels, np.abs(values.numpy(b.variable)))
                np.add.at(scales, b.labels, 1)
        if not (scales[graph.removable] > 0).any():
            raise ValueError(
                "Network slimming needs channels with a scale. Received: "
                f"model={graph.model.name!r} without BatchNormalization("
                "scale=True) on channels that can be removed. Take another "
                "criterion, as 'l1'."
            )
        return np.divide(
            total, scales, out=np.full(graph.size, np.inf), where=scales > 0
        )
