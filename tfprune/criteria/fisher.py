"""Second order: scores channels by the curvature of the loss.

LeCun, Denker, Solla, "Optimal Brain Damage", NIPS 1989,
http://yann.lecun.com/exdb/publis/pdf/lecun-90b.pdf: at a minimum, with the
diagonal of the Hessian alone, removing weights changes the loss by

    sum over the weights of 1/2 h_ii w_i^2

Here the weights are those that read the channel. This adapts the paper from
weights to channels, and `h` differs: near a minimum, the diagonal of the
empirical Fisher matrix (the mean squared gradient of single samples)
approximates it. From mini-batches of `B` samples that is

    h_ii = mean over mini-batches of B (dL/dw_i)^2

where each counts by its size. This is exact for `B = 1`, and for larger `B` if
the mean gradient is zero. Channels that a layer reads by weights that are never
trained get no score and stay.
"""

import dataclasses
import typing

import numpy as np

from tfprune.graph import channel_graph
from tfprune.scoring import adapters
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import probe
from tfprune.scoring import score


@criterion_lib.register(
    "fisher",
    "obd",
    paper="LeCun et al., Optimal Brain Damage",
    year=1989,
    url="http://yann.lecun.com/exdb/publis/pdf/lecun-90b.pdf",
    data=criterion_lib.LABELS,
    cost=criterion_lib.BACKWARD,
)
@dataclasses.dataclass(frozen=True)
class Fisher(criterion_lib.Criterion):
    """Scores channels by the loss increase that the Fisher diagonal predicts.

    Args:
        loss: as for `keras.Model.compile`; `None` uses the loss that the
            model was compiled with.
        batch_size: `int`, samples in a mini-batch if the data are arrays.
        limit: `int`, maximum number of samples to use; `None` uses all.
    """

    loss: typing.Any = None
    batch_size: int = 16
    limit: int | None = None
    normalize = "none"

    def scores(self, graph, data):
        """Returns each channel's predicted loss, shape `(graph.size,)`."""
        reads = [b for b in graph.bindings if b.role == channel_graph.READS]
        squares = {id(b.variable): 0.0 for b in reads}
        samples = 0
        for gradients, count in probe.gradients(
            graph,
            data,
            "the criterion 'fisher'",
            self.loss,
            self.batch_size,
            self.limit,
        ):
            for key in squares.keys() & gradients.keys():
                square = count * np.square(gradients[key])
                squares[key] = squares[key] + count * square
            samples += count

        losses = (
            # h w^2 / 2
            (b, squares[id(b.variable)] / samples * np.square(array) / 2)
            for b, array in adapters.whole(graph, reads)
        )
        scores = score.summed(graph, losses)
        return score.with_unrated(scores, reads, gradients)
