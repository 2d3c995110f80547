"""Evaluates a model repeatedly with different sets of channels.

The model is traced once. Zeroing the weights that read a channel gives exactly
the outputs of the smaller model.
"""

import inspect

import keras
import numpy as np

from tfprune.datasets import masking
from tfprune.datasets import outputs as outputs_lib
from tfprune.datasets import samples
from tfprune.datasets import tally
from tfprune.graph import channel_graph
from tfprune.graph import values
from tfprune.scoring import probe
from tfprune.searches import metrics
from tfprune.selection import cut as cut_lib
from tfprune.surgery import recalibration
from tfprune.surgery import reconstruction
from tfprune.surgery import shrinking

_CURE = (
    "Pass metric=, such as neg_mean_absolute_error for numbers, or a function "
    "(y, outputs) -> one number per sample, larger is better; or compile the "
    "model with the loss of its classes."
)


class MaskedEvaluation:
    """Traces a model once and evaluates it with many sets of weights.

    Args:
        graph: a `ChannelGraph`; its model is not changed.
        data: `(x, y)` arrays, or a repeatable source of such batches; see
            `tfprune.datasets.samples`.
        metric: function `(y, outputs) -> numbers` of numpy arrays, one number
            per sample; if it has a parameter `mask`, that is a list of the
            Keras mask of each output, a bool array or `None`. `None` measures
            the accuracy of the only output, in which samples count by their
            weights, if there are any.
        limit: `int`, maximum number of samples to use; `None` uses all.
        purpose: `str`, what the evaluation is for, used in error messages.
        recalibrate: inputs, as `data`, on which to recalibrate batch
            normalization before each evaluation; `None` does not.
        reconstruct: inputs on which to refit the weights that read kept
            channels before each evaluation, read once; `None` does not.

    Attributes:
        traces: `int`, number of times that the model was traced.
        count: `int`, number of channel sets evaluated.
    """

    def __init__(
        self,
        graph,
        data,
        metric=None,
        limit=None,
        purpose="the sensitivity",
        recalibrate=None,
        reconstruct=None,
    ):
        samples.check_repeatable(data, purpose)
        self._graph, self._purpose = graph, purpose
        tally.check_metric(metric)
        self._data, self._metric, self._limit = data, metric, limit
        self._recalibrate = recalibrate
        self._clone = clone = probe.clone(graph)
        self._model = _Traced(keras.Model(clone.inputs, clone.outputs))
        # On a CPU, compiling with XLA takes longer than a few evaluations.
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
        """Returns the mean metric with only some channels, a `float`.

        Args:
            keep: bool array, shape `(graph.size,)`.
        """
        self.count += 1
        self._assign(keep)
        if self._recalibrate is not None:
            recalibration.measure(
                self._graph.config, self._clone, self._recalibrate
            )
        mean = _Mean(self._metric, self._graph.model)
        for x, y, weights in samples.batches(
            self._data,
            self._purpose,
            256,
            self._limit,
            labels=True,
            model=self._graph.model,
            # The metric reads the labels, and says itself which ones.
            loss=self._metric or _any_loss,
            weights=True,
        ):
            found = self._model.predict_on_batch(x if len(x) > 1 else x[0])
            mean.add(y, found["outputs"], found["masks"], weights)
        return mean.value()

    def shrunk(self, keep):
        """Returns the smaller model with the weights of its evaluation."""
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


def _any_loss(y, outputs):
    """Stands for a metric where labels are checked."""


def _takes_mask(function):
    try:
        return "mask" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # one that is not written in Python
        return False


class _Mean:
    """The mean of a metric over all samples; the accuracy without one."""

    def __init__(self, metric, model):
        self._metric, self._found = metric, []
        self._outputs = outputs_lib.of(model)
        self._with_masks = metric is not None and _takes_mask(metric)
        if metric is None:
            counted = tally.of_outputs(model)
            if len(counted) != 1:
                raise ValueError(
                    "Accuracy needs a single output. Received: model="
                    f"{model.name!r} with {len(counted)} outputs. Pass "
                    "metric=, a function (y, outputs) of all of them -> one "
                    "number per sample, larger is better."
                )
            (self._tally,) = counted

    def add(self, y, outputs, found, weights=None):
        """Counts a batch, with masks by the numbers of their outputs."""
        count = len(keras.tree.flatten(outputs))
        given = [found.get(str(number)) for number in range(count)]
        if self._metric is None:
            (labels,), (scores,) = map(keras.tree.flatten, (y, outputs))
            (weights,) = keras.tree.flatten(weights)
            self._tally.add(labels, scores, *given, weights)
            return
        extra = {"mask": given} if self._with_masks else {}
        if metrics.is_known(self._metric):  # Others take labels as they are.
            y = outputs_lib.in_order(y, self._outputs)
        values = self._metric(y, outputs, **extra)
        self._found.append(tally.of_samples(values, outputs))

    def value(self):
        if self._metric is None:
            return self._tally.accuracy(_CURE)
        return tally.mean(self._found)


class _Traced(keras.Model):
    """Counts how often Python, not the compiled function, runs a model."""

    def __init__(self, model):
        super().__init__(name="traced")
        self.model, self.traces = model, 0
        self.built = True

    def call(self, inputs, training=None):
        self.traces += 1
        outputs = self.model(inputs, training=training)
        found = map(masking.of_tensor, keras.tree.flatten(outputs))
        given = {str(k): m for k, m in enumerate(found) if m is not None}
        return {"outputs": outputs, "masks": given}
