"""Channel graphs written by hand: no model, variables are numpy arrays."""

import types

import numpy as np

from tfprune.graph import channel_graph
from tfprune.graph import findings
from tfprune.graph import tensor
from tfprune.graph.lowering import file_op


class Sketch:
    """Draws a graph layer by layer.

    Args:
        inputs: `int`, channels of the only input; they stay.
        positions: `int`, every tensor has shape `(None, positions, n)`.
    """

    def __init__(self, inputs, positions=1):
        self.records = findings.Records()
        self.positions = positions
        self.input = self.tensor(self.records.store.fresh(inputs))
        self.records.store.freeze(self.input.labels, "input", "an input")
        self.steps, self.weights, self.layers = [], [], {}

    def tensor(self, labels, dtype="float32"):
        shape = (None, self.positions, labels.size)
        return tensor.Tensor(shape, tensor.on_axis(labels, 3, 2), dtype)

    def dense(self, name, x, units, kernel=None):
        """A mixing layer; `kernel` has shape `(inputs, units)`."""
        reads, writes = x.labels.reshape(-1), self.records.store.fresh(units)
        if kernel is None:
            kernel = np.ones((reads.size, units), "float32")
        self._bind(name, kernel, 0, reads, channel_graph.READS)
        self._bind(name, kernel, 1, writes, channel_graph.WRITES)
        self.weights.append(kernel)
        work = ((self.positions, (reads, writes)),)
        return self.step(
            name, "Dense", (x,), writes, "FULLY_CONNECTED", work=work
        )

    def scale(self, name, x, memory="inplace"):
        """A layer with one weight per channel."""
        gamma = np.ones(x.labels.size, "float32")
        self._bind(name, gamma, 0, x.labels.reshape(-1), "carries")
        self.weights.append(gamma)
        labels = x.labels.reshape(-1)
        return self.step(name, "Scale", (x,), labels, "MUL", memory=memory)

    def add(self, name, x, y):
        self.records.store.join(x.labels, y.labels)
        return self.step(name, "Add", (x, y), x.labels.reshape(-1), "ADD")

    def step(self, name, op, inputs, labels, kind="", work=(), memory="new"):
        out = self.tensor(labels)
        scales = memory == "inplace"
        ops = (file_op.FileOp(kind, inputs, (out,), work=work, scales=scales),)
        self.layers[name] = types.SimpleNamespace(weights=())
        self.steps.append(
            channel_graph.Step(name, op, inputs, (out,), work, memory, ops)
        )
        return out

    def done(self, *outputs):
        """The `ChannelGraph`; the channels of `outputs` stay."""
        for x in outputs:
            self.records.store.freeze_first(x.labels, "model", "its output")
        return channel_graph.ChannelGraph(
            types.SimpleNamespace(weights=self.weights, variables=()),
            {},
            (self.input,),
            outputs,
            self.steps,
            self.layers,
            self.records,
        )

    def _bind(self, name, variable, axis, labels, role):
        self.records.bind(
            channel_graph.Binding(name, "w", variable, axis, labels, role)
        )


def chain(*widths, positions=1):
    """Dense layers `a`, `b`, ... one after the other.

    Args:
        *widths: channels of the input, of each hidden layer and the output.
    """
    sketch = Sketch(widths[0], positions)
    x = sketch.input
    for name, units in zip("abcdefgh", widths[1:]):
        x = sketch.dense(name, x, units)
    return sketch.done(x)
