"""How good a model is with only some of its channels, many times over.

The model is traced once. Channels are taken out by zeros in the weights that
read them, so what is measured is what the smaller model would compute.
"""

import keras
import numpy as np

from tfprune.datasets import class_indices
from tfprune.datasets import samples
from tfprune.graph import channel_graph
from tfprune.graph import values
from tfprune.scoring import probe
from tfprune.selection import cut as cut_lib
from tfprune.surgery import recalibration
from tfprune.surgery import reconstruction
from tfprune.surgery import shrinking


def accuracy(y, scores):
    """Whether the highest score is at the right class, for each sample."""
    return scores.argmax(-1) == class_indices.of(y, scores)


class MaskedEvaluation:
    """A model that is traced once and measured with many sets of weights.

    Args:
        graph: a `ChannelGraph`; its model is not changed.
        data: `(x, y)` arrays or what gives batches of them again and again;
            see `tfprune.datasets.samples`.
        metric: function `(y, outputs) -> numbers`, one for each sample,
            numpy.
        limit: `int`, samples that are looked at; `None` for all.
        purpose: `str`, what it is for, in the words of an error.
        recalibrate: inputs, as `data`, by which batch normalisation is
            measured anew before each value; `None` leaves it as it is.
        reconstruct: inputs to fit the weights by that read kept channels,
            before each value; they are read once. `None` fits nothing.

    Attributes:
        traces: `int`, how often the model was traced.
        count: `int`, how many sets of channels were measured.
    """

    def __init__(
        self,
        graph,
        data,
        metric=accuracy,
        limit=None,
        purpose="the sensitivity",
        recalibrate=None,
        reconstruct=None,
    ):
        samples.check_repeatable(data, purpose)
        self._graph, self._purpose = graph, purpose
        self._data, self._metric, self._limit = data, metric, limit
        self._recalibrate = recalibrate
        self._clone = clone = probe.clone(graph)
        self._model = _Traced(keras.Model(clone.inputs, clone.outputs))
        # On a CPU, XLA takes longer to compile than a few evaluations.
        self._model.compile(jit_compile=keras.backend.backend() == "jax")
        self._twins = {
            id(old): (old, new)
            for old, new in zip(graph.model.weights, clone.weights, strict=True)
        }
        self._fits = reconstruction.Prepared()
        if reconstruct is not None:
            settings = reconstruction.Reconstruction()
            self._fits = settings.prepare(graph, reconstruct)
        self._changed, self.count = set(), 0

    @property
    def traces(self):
        return self._model.traces

    def value(self, keep):
        """The mean of the metric with only some channels read, `float`.

        Args:
            keep: bool array, shape `(graph.size,)`.
        """
        self.count += 1
        self._assign(keep)
        if self._recalibrate is not None:
            recalibration.measure(
                self._graph.config, self._clone, self._recalibrate
            )
        found = []
        for x, y in samples.batches(
            self._data,
            self._purpose,
            256,
            self._limit,
            labels=True,
            model=self._graph.model,
        ):
            outputs = self._model.predict_on_batch(x if len(x) > 1 else x[0])
            found.append(np.asarray(self._metric(y, outputs)).reshape(-1))
        return float(np.concatenate(found).mean())

    def shrunk(self, keep):
        """The smaller model, with the weights that it was measured with."""
        changes, _ = self._fits.solve(keep)
        small = shrinking.apply(cut_lib.Cut(self._graph, keep, changes))
        if self._recalibrate is not None:
            small = recalibration.recalibrate(small, self._recalibrate)
        return small

    def _assign(self, keep):
        cut = cut_lib.Cut(self._graph, keep)
        changes = {
            id(b.variable): cut.zero_reads(b.variable)
            for b in self._graph.bindings
            if b.role == channel_graph.READS and not keep[b.labels].all()
        }
        changes |= self._fits.solve(keep)[0]
        for key in self._changed - set(changes):
            changes[key] = self._twins[key][0]
        for key, value in changes.items():
            value = np.array(values.numpy(value, exact=True))
            self._twins[key][1].assign(value)
        self._changed = set(changes)


class _Traced(keras.Model):
    """Counts how often Python, not the compiled function, runs a model."""

    def __init__(self, model):
        super().__init__(name="traced")
        self.model, self.traces = model, 0
        self.built = True

    def call(self, inputs):
        self.traces += 1
        return self.model(inputs)
