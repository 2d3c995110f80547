"""Pruning summaries for TensorBoard, epoch by epoch."""

import numbers
import pathlib

import keras
import numpy as np

from tfprune.callbacks import event_log
from tfprune.graph import channel_graph
from tfprune.graph import read
from tfprune.graph import values
from tfprune.methods import bitpruning
from tfprune.selection import budget as budget_lib
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import stripping


class PruningSummaries(keras.callbacks.Callback):
    """Writes pruning summaries for TensorBoard at the end of epochs.

    Scalars: `sparsity/all` and `sparsity/<layer>/<weight>`, fractions of
    zeros; `method/<figure>`, figures that a method reports, such as
    `macs_ratio`; `bits/<layer>/<weight>`, learned bit lengths; and with a
    budget, `budget/<limit>`, the cost that `strip` would leave now, beside
    `budget/<limit>_limit`. Images: `masks/<layer>/<weight>`, a matrix of
    outputs (rows) and inputs (columns, the positions of a convolution side
    by side) in which zeros are black. Histograms:
    `scores/<layer>/<weight>`, the scores by which a method ranks weights or
    channels. A layer of a nested model is told as `<model>/<layer>`. If a
    `Chain` has several methods on a weight, each has its own
    `scores/<layer>/<weight>/<method>`.

    The run is the folder `pruning` in `log_dir`, beside those of
    `keras.callbacks.TensorBoard`. Needs the package `tensorboard`; works on
    every backend. List it after `PruneOnSchedule`.

    Args:
        log_dir: `str` or path-like, TensorBoard's log directory.
        every: `int`, epochs between two entries.
        budget: a `tfprune.Budget`, or `None`; measuring against it reads the
            model anew each time.

    Raises:
        ValueError: If `every` is not a positive number; as training begins,
            if the model has no wrapped layer.
        ImportError: If the package `tensorboard` is missing.

    Example:

    >>> summaries = tfprune.callbacks.PruningSummaries("logs/run1")
    >>> wrapped.fit(x, y, epochs=9, callbacks=[pruning, summaries])
    """

    def __init__(self, log_dir, every=1, budget=None):
        super().__init__()
        if not isinstance(every, numbers.Integral) or every < 1:
            raise ValueError(
                "`every` must be a positive number of epochs. Received: "
                f"every={every!r}"
            )
        budget_lib.check(budget)
        self.log_dir = str(log_dir)
        self.every = every
        self.budget = budget
        self._log = None
        self._limits = {}
        self._paths = {}

    def on_train_begin(self, logs=None):
        if not wrapper_lib.find(self.model):
            raise ValueError(
                "Summaries need a model with wrapped layers. "
                f"Received: model={self.model.name!r}, which has none. Use "
                "`tfprune.wrap(model, tfprune.methods.Masked())`."
            )
        # Raises for unmeasured gates now instead of after an epoch.
        wrapper_lib.sparsity(self.model)
        if self.budget is not None:
            graph = read.channel_graph(wrapping.unwrap(self.model))
            meter = self.budget.meter(graph)
            self._limits = self.budget.ceilings(meter)
        self._paths = {
            id(layer.layer): "/".join(path)
            for path, layer in values.leaves(self.model)
            if isinstance(layer, wrapper_lib.PruningWrapper)
        }
        folder = pathlib.Path(self.log_dir) / "pruning"
        self._log = event_log.EventLog(str(folder))

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        self._write_zeros(epoch)
        self._write_methods(epoch)
        if self.budget is not None:
            self._write_budget(epoch)
        self._log.flush()

    def on_train_end(self, logs=None):
        self._log.close()

    def _write_zeros(self, epoch):
        zeros = total = 0
        for wrapper in wrapper_lib.find(self.model):
            for name, array in wrapper.folded().items():
                slot = wrapper.slots[name]
                path = self._path(slot)
                count = np.count_nonzero(array == 0)
                share = count / max(array.size, 1)
                self._log.scalar(f"sparsity/{path}", share, epoch)
                zeros, total = zeros + count, total + array.size
                if slot.axes is not None:
                    picture = as_picture(array, slot.axes)
                    self._log.picture(f"masks/{path}", picture, epoch)
        self._log.scalar("sparsity/all", zeros / max(total, 1), epoch)

    def _write_methods(self, epoch):
        for name, value in wrapper_lib.figures(self.model).items():
            self._log.scalar(f"method/{name}", value, epoch)
        for wrapper in wrapper_lib.find(self.model):
            for slot in wrapper.slots.values():
                parts = wrapper.method.parts(slot)
                self._write_bits(slot, parts, epoch)
                if slot.name != method_lib.INPUTS:
                    for path, method, part in self._told_apart(slot, parts):
                        scores = method.scores(part)
                        self._log.histogram(f"scores/{path}", scores, epoch)

    def _write_bits(self, slot, parts, epoch):
        learned = [p for p in parts if isinstance(p[0], bitpruning.BitPruning)]
        for path, _, part in self._told_apart(slot, learned):
            bits = keras.ops.convert_to_numpy(part["bit_length"])
            self._log.scalar(f"bits/{path}", bits, epoch)

    def _told_apart(self, slot, parts):
        """Yields `(path, method, part)`; several methods have own paths."""
        path = self._path(slot)
        names = channel_graph.unique(type(m).__name__ for m, _ in parts)
        for name, (method, part) in zip(names, parts, strict=True):
            yield f"{path}/{name}" if len(parts) > 1 else path, method, part

    def _path(self, slot):
        """The names of a slot's layer and weight, unique in the model."""
        layer = self._paths.get(id(slot.layer), slot.layer.name)
        return f"{layer}/{slot.name}"

    def _write_budget(self, epoch):
        graph = read.channel_graph(wrapping.unwrap(self.model))
        meter = self.budget.meter(graph)
        keep = stripping.removable(graph).keep
        for name, limit in self._limits.items():
            left = getattr(meter, name)(keep)
            self._log.scalar(f"budget/{name}", left, epoch)
            self._log.scalar(f"budget/{name}_limit", limit, epoch)


def as_picture(weights, axes):
    """Renders a weight as gray values: 0 where it is zero, else 255.

    Args:
        weights: array.
        axes: its `patterns.Axes`.

    Returns:
        `uint8` array, shape `(outputs, positions * inputs)`.
    """
    matrices = axes.matrices(weights != 0)
    positions, outputs, inputs = matrices.shape
    rows = matrices.transpose(1, 0, 2).reshape(outputs, positions * inputs)
    return rows.astype(np.uint8) * 255
