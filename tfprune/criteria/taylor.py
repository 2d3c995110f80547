"""Taylor expansion: channels that the loss would not miss go first.

Molchanov, Mallya, Tyree, Frosio, Kautz, "Importance Estimation for Neural
Network Pruning", CVPR 2019, https://arxiv.org/abs/1906.10771. With a gate
`z_c = 1` that multiplies channel c, the squared first-order change of the loss
when it is removed is

    I_c = mean over mini-batches of (z_c dL/dz_c)^2

Where the gate stands at the reading weights `K[c]`, its gradient is the sum of
`K[c] * dL/dK[c]`; no gate has to be put in. A channel that several layers read
has one gate, and, as in the authors' code for gates that blocks share, `I_c`
is divided by their number.

The authors remove a few channels every 30 mini-batches of training and average
over these rounds; here that is pruning and fine-tuning in turns.
"""

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
    """Squared gradients of the gates of channels.

    Args:
        loss: as for `keras.Model.compile`; `None` takes the loss that the
            model is compiled with.
        batch_size: `int`, samples of a mini-batch, for arrays.
        limit: `int`, samples that are looked at; `None` for all.

    Example:

    >>> small = tfprune.prune(model, 0.5, criterion="taylor", data=(x, y))
    """

    loss: typing.Any = None
    batch_size: int = 32
    limit: int | None = None
    normalize = "none"

    def scores(self, graph, data):
        """`I_c` for each channel, shape `(graph.size,)`."""
        reads = [b for b in graph.bindings if b.role == channel_graph.READS]
        weights = {id(b): values.numpy(b.variable) for b in reads}
        total, batches = np.zeros(graph.size), 0
        for gradients, _ in probe.gradients(
            graph,
            data,
            "the criterion 'taylor'",
            self.loss,
            self.batch_size,
            self.limit,
        ):
            products = (
                (b, weights[id(b)] * gradients[id(b.variable)]) for b in reads
            )
            gate = score.summed(graph, products)  # z_c dL/dz_c
            total += np.square(gate)
            batches += 1
        return total / batches / np.maximum(score.counted(graph, reads), 1)
