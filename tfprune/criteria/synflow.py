"""SynFlow: scores channels by the synaptic flow through their weights.

Tanaka, Kunin, Yamins, Ganguli, "Pruning neural networks without any data by
iteratively conserving synaptic flow", 2020, https://arxiv.org/abs/2006.05467.
With the absolute values of all weights and an input of ones,

    R = sum of the outputs,    score(w) = |w * dR/dw|,

and a channel's score is the sum over the weights that write it. No data are
needed. Flow is conserved: the scores of every layer that carries all of it add
up to the same number.

Biases, shifts and moving means are left out, because they would add to the
flow; the authors' code takes their absolute values. R overflows in deep
networks, so the authors compute in double precision; here the input and R are
scaled down until they fit, which scales all scores alike.
"""

import dataclasses

import keras
import numpy as np

from tfprune.costs import counting
from tfprune.graph import channel_graph
from tfprune.graph import document
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.graph import values
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import probe
from tfprune.scoring import score

_SHIFTS = ("bias", "beta", "moving_mean")
_SCALES = 10.0 ** np.arange(0, -31, -5)


@criterion_lib.register(
    "synflow",
    paper="Tanaka et al., Pruning Neural Networks without any Data",
    year=2020,
    url="https://arxiv.org/abs/2006.05467",
    cost="one backward pass",
)
@dataclasses.dataclass(frozen=True)
class SynFlow(criterion_lib.Criterion):
    """Scores channels by the flow through the weights that write them.

    This is one round of scoring. The paper prunes a little in each of many
    rounds; for that, call `tfprune.prune` repeatedly.
    """

    normalize = "none"

    def scores(self, graph, data=None):
        """Returns the flow through each channel, shape `(graph.size,)`.

        Raises:
            ValueError: If the model's inputs have unknown sizes, or the flow
                overflows despite the scaling.
        """
        del data
        flows = self.flows(graph)
        return score.summed(
            graph,
            (
                (b, flows[id(b.variable)])
                for b in graph.bindings
                if b.role == channel_graph.WRITES and id(b.variable) in flows
            ),
        )

    def flows(self, graph):
        """Returns `|w * dR/dw|` as a `dict` keyed by `id(variable)`."""
        counting.check_sizes(graph)
        shapes = [x.shape[1:] for x in graph.inputs]
        absolute = rebuild.build(
            graph.model, document.copied(graph.config), _absolute
        )
        copied = read.channel_graph(absolute)
        for scale in _SCALES:
            gradients = self._gradients(copied, shapes, scale)
            flows = {
                id(old): np.abs(gradients[id(new)] * values.numpy(new))
                for old, new in zip(
                    graph.model.weights, absolute.weights, strict=True
                )
                if id(new) in gradients
            }
            if all(np.isfinite(flow).all() for flow in flows.values()):
                return flows
        raise ValueError(
            "The flow must be finite. Received: model="
            f"{graph.model.name!r}, whose flow overflows. Use another "
            "criterion, such as 'l1'."
        )

    def _gradients(self, graph, shapes, scale):
        x = [np.full((1, *shape), scale, "float32") for shape in shapes]
        x = x[0] if len(x) == 1 else tuple(x)
        zero = np.zeros((1, 1), "float32")

        def flow(_, outputs):
            return scale * keras.ops.sum(
                outputs, tuple(range(1, len(outputs.shape)))
            )

        model = graph.model
        sequential = isinstance(model, keras.Sequential)
        structure = model.outputs[0] if sequential else model.output
        y, losses = (
            keras.tree.map_structure(lambda _, leaf=leaf: leaf, structure)
            for leaf in (zero, flow)
        )
        ((found, _),) = probe.gradients(
            graph, (x, y), "the criterion 'synflow'", losses
        )
        return {k: np.asarray(g, np.float64) for k, g in found.items()}


def _absolute(variable):
    array = np.abs(values.numpy(variable, exact=True))
    name = variable.path.rsplit("/", 1)[-1]
    return np.zeros_like(array) if name.endswith(_SHIFTS) else array
