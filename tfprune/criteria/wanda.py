"""Wanda: scores channels by weight magnitude times input norm.

Sun, Liu, Bair, Kolter, "A Simple and Effective Pruning Approach for Large
Language Models", ICLR 2024, https://arxiv.org/abs/2306.11695. The paper scores
single weights of dense layers by `|W_ij| * ||X_j||_2`. This adapts it to
channels by adding up the scores of all weights that read a channel,

    score_c = sum_{i, taps} |W_{i,c,tap}| * ||X_c||_2

where `X_c` are the values of the channel at all positions. The norm is divided
by the square root of the number of samples, so that it does not grow with the
data. Channels that attention or recurrent layers read get no score and stay.
"""

import dataclasses

import numpy as np

from tfprune.datasets import samples
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import image_patches
from tfprune.scoring import probe


@criterion_lib.register(
    "wanda",
    paper="Sun et al., A Simple and Effective Pruning Approach for LLMs",
    year=2024,
    url="https://arxiv.org/abs/2306.11695",
    data=criterion_lib.INPUTS,
    cost=criterion_lib.FORWARD,
)
@dataclasses.dataclass(frozen=True)
class Wanda(criterion_lib.Criterion):
    """Scores channels by the weights that read them times the channel's norm.

    Args:
        limit: `int`, maximum number of samples to use; `None` uses all. The
            paper uses 128.
        batch_size: `int`, used if the data are arrays.
    """

    limit: int | None = None
    batch_size: int = 64

    def scores(self, graph, data):
        """Returns the score of each channel, shape `(graph.size,)`."""
        readers, others = image_patches.readers(graph)
        squares = [0.0] * len(readers)
        seen = 0

        def visit(event):
            for i, reader in enumerate(readers):
                if reader.live is event.live:
                    rows = reader.inputs(event.tensors[0])
                    squares[i] = squares[i] + np.square(rows).sum(0)

        for x, _ in samples.batches(
            data,
            "the criterion 'wanda'",
            self.batch_size,
            self.limit,
            model=graph.model,
        ):
            probe.play(graph, x, visit)
            seen += len(x[0])
        scores = np.zeros(graph.size)
        for reader, square in zip(readers, squares, strict=True):
            norms = np.sqrt(square / seen)  # ||X_c||, (groups, channels)
            weights = np.abs(reader.matrix()).sum(-1)  # (groups, columns)
            taps = weights.shape[1] // norms.shape[1]
            rated = weights * np.tile(norms, taps)
            np.add.at(scores, reader.labels, rated.sum(0))
        for binding in others:
            scores[binding.labels] = np.inf
        return scores
