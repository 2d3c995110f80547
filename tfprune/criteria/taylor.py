"""Taylor expansion: scores channels by the estimated change of the loss.

Molchanov, Mallya, Tyree, Frosio, Kautz, "Importance Estimation for Neural
Network Pruning", CVPR 2019, https://arxiv.org/abs/1906.10771. If a gate
`z_c = 1` multiplies channel c, the squared first-order change of the loss on
removing the channel is

    I_c = mean over mini-batches of (z_c dL/dz_c)^2

where each counts by its size: the last one may be small, and noisy.

A gate at the weights `K[c]` that read the channel has the gradient
`sum(K[c] * dL/dK[c])`, so no gate needs to be inserted. A channel that several
layers read has one gate, and `I_c` is divided by the number of readers, as in
the authors' code for gates that blocks share.

Channels that a layer reads by weights that are never trained get no score and
stay.

The authors remove a few channels every 30 mini-batches of training and average
over these rounds; here, alternate pruning and fine-tuning.
"""

import collections
import dataclasses
import typing

import numpy as np

from tfprune.graph import channel_graph
from tfprune.graph import values
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import probe
from tfprune.scoring import score


@criterion_lib.register(
    "taylor",
    paper="Molchanov et al., Importance Estimation for Neural Network Pruning",
    year=2019,
    url="https://arxiv.org/abs/1906.10771",
    data=criterion_lib.LABELS,
    cost=criterion_lib.BACKWARD,
)
@dataclasses.dataclass(frozen=True)
class Taylor(criterion_lib.Criterion):
    """Scores channels by the squared gradient of their gate.

    Args:
        loss: as for `keras.Model.compile`; `None` uses the loss that the
            model was compiled with.
        batch_size: `int`, samples in a mini-batch if the data are arrays.
        limit: `int`, maximum number of samples to use; `None` uses all.

    Example:

    >>> small = tfprune.prune(model, 0.5, criterion="taylor", data=(x, y))
    """

    loss: typing.Any = None
    batch_size: int = 32
    limit: int | None = None
    normalize = "none"

    def scores(self, graph, data):
        """Returns `I_c` for each channel, shape `(graph.size,)`."""
        reads = [b for b in graph.bindings if b.role == channel_graph.READS]
        weights = {id(b): values.numpy(b.variable) for b in reads}
        total, samples = np.zeros(graph.size), 0
        for gradients, count in probe.gradients(
            graph,
            data,
            "the criterion 'taylor'",
            self.loss,
            self.batch_size,
            self.limit,
        ):
            products = (
                (b, weights[id(b)] * gradients[id(b.variable)])
                for b in reads
                if id(b.variable) in gradients
            )
            gate = score.summed(graph, products)  # z_c dL/dz_c
            total += count * np.square(gate)
            samples += count
        scores = total / samples / np.maximum(_readers(graph, reads), 1)
        return score.with_unrated(scores, reads, gradients)


def _readers(graph, reads):
    """Counts, per channel, the layers that read it; some by several weights."""
    labels = collections.defaultdict(list)
    for binding in reads:
        labels[binding.layer].append(binding.labels)
    count = np.zeros(graph.size)
    for found in labels.values():
        count[np.unique(np.concatenate(found))] += 1
    return count
