"""AutoPrune: learns which weights to keep with auxiliary indicators.

Xiao, Wang and Rajasekaran, "AutoPrune: automatic network pruning by
regularizing auxiliary parameters", 2019,
https://papers.nips.cc/paper/9521-autoprune-automatic-network-pruning-by-regularizing-auxiliary-parameters.
Every weight w has an indicator m, and a layer computes with

    t = w * h(m),        h(m) = 1 if m > 0 else 0.

The weights learn on training data and the indicators on held-out data, in
alternating steps:

    min_W  L(W * h(M)) + lambda * R(W),     dL/dw = dL/dt * h(m)
    min_M  L(W * h(M)) + mu * sum h(M),     g_m = (dL/dt * sign(w) + mu) * h'(m)

where h' is the derivative of a surrogate, and sign(w), with sign(0) = 1,
replaces w, so that a large weight does not move its indicator faster. A pruned
weight keeps its value and its indicator keeps learning, so it can come back.

This is a reconstruction. The abstract and the public reviews describe the
idea, the separate gradient rules and the surrogates; the formulas were written
down from memory, and the constants are this library's choice.
"""

import dataclasses

import keras
import numpy as np

from tfprune.core import records
from tfprune.graph import channel_graph
from tfprune.graph import read
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import ops
from tfprune.sparsity import reading
from tfprune.sparsity import wrapper as wrapper_lib

RULES = ("sign", "plain")


@method_lib.register("autoprune")
@dataclasses.dataclass(frozen=True)
class AutoPrune(method_lib.Method):
    """Learns an indicator for each weight.

    Train it with `tfprune.training.AlternatingModel`, which gives the
    indicators their own data and optimizer, then call `freeze_indicators` and
    fine-tune the weights. In a plain `fit`, one optimizer updates both on the
    same batches, and the masks overfit them; exclude the indicators from its
    weight decay with `tfprune.training.exclude_from_weight_decay`.

    Args:
        mu: `float`, penalty on a kept weight: adds `mu * sum h(m)` to the
            loss, with the gradient `mu * h'(m)`.
        surrogate: the function that defines h': `"leaky"`, `"softplus"` or
            `"linear"`; see `ops.step`. With `"linear"`, mu pulls pruned
            indicators down as hard as the others, and few weights come back.
        slope: `float`, h' of `"leaky"` where m is not positive.
        initial: `float` in (0, 1], initial value of all indicators, which
            stay in [-1, 1].
        rule: `"sign"`, or `"plain"`, which uses w instead of sign(w): the
            usual straight-through gradient.

    Example:

    >>> wrapped = tfprune.wrap(model, tfprune.methods.AutoPrune(mu=1e-4))
    >>> alternating = tfprune.training.AlternatingModel(wrapped)
    >>> alternating.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    >>> batches = tfprune.training.Interleaved(train, held_out)
    >>> alternating.fit(batches, epochs=20)
    >>> tfprune.methods.freeze_indicators(wrapped)
    >>> wrapped.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss)
    >>> wrapped.fit(train, epochs=10)
    """

    mu: float = 1e-4
    surrogate: str = "leaky"
    slope: float = 0.1
    initial: float = 0.5
    rule: str = "sign"

    def __post_init__(self):
        for name, known in (
            ("surrogate", tuple(ops.SURROGATES)),
            ("rule", RULES),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(known)}. Received: "
                    f"{name}={getattr(self, name)!r}"
                )
        records.check_number(self, "mu", "[0, inf)")
        records.check_number(self, "slope", "[0, 1]")
        records.check_number(self, "initial", "(0, 1]")

    def build(self, slot):
        self._add_indicators(
            lambda name, **kwargs: slot.add_weight(
                name, () if name == "frozen" else slot.shape, **kwargs
            )
        )

    def _add_indicators(self, add):
        add(
            "indicator",
            initializer=keras.initializers.Constant(self.initial),
            constraint=Clipped(),
        )
        # A non-trainable copy, so that no optimizer can change it.
        add("kept", initializer="zeros", trainable=False)
        add("frozen", initializer="zeros", trainable=False, dtype="bool")

    def effective_kernel(self, slot, kernel, training=False):
        m = _indicator(slot)
        ones = keras.ops.cast(m > 0, kernel.dtype)
        return self._pruned(kernel, ones, self._smooth(m))

    def _smooth(self, m):
        """The function whose derivative is h'."""
        return ops.SURROGATES[self.surrogate](m, self.slope)

    def _pruned(self, kernel, ones, smooth):
        """`w * h(m)`, with the gradients of w and m as in the paper."""
        factor = kernel
        if self.rule == "sign":
            factor = keras.ops.where(kernel < 0, -1.0, 1.0)
        factor = keras.ops.stop_gradient(keras.ops.cast(factor, kernel.dtype))
        product = kernel * ones  # t = w * h(m)
        proxy = product + factor * keras.ops.cast(smooth, kernel.dtype)
        return ops.straight_through(product, proxy)

    def penalty(self, slot):
        return self.mu * keras.ops.sum(self._price(slot))

    def _price(self, slot):
        """h(m), 0 once it is frozen."""
        h = ops.step(slot["indicator"].value, self.surrogate, self.slope)
        return keras.ops.where(slot["frozen"].value, 0, h)


@method_lib.register("autoprune_channels")
@dataclasses.dataclass(frozen=True)
class AutoPruneChannels(AutoPrune):
    """Learns an indicator for each channel of the network.

    The channel is masked in every weight that reads it, so `strip` can remove
    it exactly; channels that meet in a residual sum share one indicator. It
    learns from all these weights:

        g_m = h'(m) * (sum of dL/dt * sign(w) + mu).

    Channels that cannot be removed, or that an unwrapped layer reads, stay.
    Every layer keeps at least one channel, the one with the largest
    indicator.

    Args:
        mu, surrogate, slope, initial, rule: as for `AutoPrune`.

    Example:

    >>> method = tfprune.methods.AutoPruneChannels(mu=1e-3)
    >>> wrapped = tfprune.wrap(model, method)
    >>> alternating = tfprune.training.AlternatingModel(wrapped)
    >>> alternating.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    >>> batches = tfprune.training.Interleaved(train, held_out)
    >>> alternating.fit(batches, epochs=20)
    >>> small = tfprune.strip(wrapped)
    """

    mu: float = 1e-3

    def sites(self, layer):
        return reading.names(layer)

    def shared_shapes(self, model):
        size = read.channel_graph(model).size
        shapes = dict.fromkeys(("indicator", "kept", "free"), (size,))
        return {**shapes, "frozen": ()}

    def build(self, slot):
        self._add_indicators(slot.add_shared)
        # Which channels an indicator decides on.
        slot.add_shared(
            "free", initializer="zeros", trainable=False, dtype="bool"
        )
        (axis,) = slot.axes.reads
        slot.add_weight(
            "channels",
            (slot.shape[axis],),
            initializer=keras.initializers.Constant(-1),
            trainable=False,
            dtype="int32",
        )

    def prepare(self, model, slots):
        graph = read.channel_graph(model)
        read_here = {}
        for slot in slots:
            for binding in graph.bound(slot.kernel):
                reads = binding.role == channel_graph.READS
                if reads and (binding.axis,) == slot.axes.reads:
                    slot["channels"].assign(binding.labels)
                    read_here[id(slot.kernel)] = binding.labels
        free = np.zeros(graph.size, bool)
        for labels in read_here.values():
            free[labels] = True
        for binding in graph.bindings:
            elsewhere = id(binding.variable) not in read_here
            if binding.role == channel_graph.READS and elsewhere:
                free[binding.labels] = False
        free &= graph.removable
        reading.warn_of_none(slots, free)
        for slot in slots:
            slot["free"].assign(free)

    def effective_kernel(self, slot, kernel, training=False):
        channels = slot["channels"].value
        at = keras.ops.maximum(channels, 0)
        m = keras.ops.take(_indicator(slot), at)
        decided = keras.ops.take(slot["free"].value, at) & (channels >= 0)
        ones = _at_least_one(m, decided, channels)
        smooth = keras.ops.where(decided, self._smooth(m), 0)
        return self._pruned(
            kernel,
            reading.along(slot, keras.ops.cast(ones, kernel.dtype)),
            reading.along(slot, smooth),
        )

    def penalty(self, slot):
        price = keras.ops.where(slot["free"].value, self._price(slot), 0)
        return self.mu * keras.ops.sum(price)


@keras.saving.register_keras_serializable("tfprune")
class Clipped(keras.constraints.Constraint):
    """Clips indicators to [-1, 1], so that every pruned weight can return."""

    def __call__(self, value):
        return keras.ops.clip(value, -1, 1)


def freeze_indicators(model):
    """Freezes the masks that AutoPrune has learned, for fine-tuning.

    Afterwards, the loss has no penalty and no optimizer changes the masks.
    Changes the model in place; saving keeps the change. Call it between two
    calls of `fit`.

    Args:
        model: a model wrapped with `AutoPrune` or `AutoPruneChannels`.

    Raises:
        ValueError: If no layer of the model is wrapped with AutoPrune.
    """
    slots = [
        slot
        for method, slots in wrapper_lib.groups(model)
        if isinstance(method, AutoPrune)
        for slot in slots
    ]
    if not slots:
        raise ValueError(
            "A model wrapped with AutoPrune is required. Received: "
            f"model={model.name!r}, which is not. Use "
            "`tfprune.wrap(model, tfprune.methods.AutoPrune())`."
        )
    for slot in slots:
        slot["kept"].assign(keras.ops.copy(_indicator(slot)))
        slot["frozen"].assign(True)


def _indicator(slot):
    """m, a constant once it is frozen."""
    return keras.ops.where(
        slot["frozen"].value, slot["kept"].value, slot["indicator"].value
    )


def _at_least_one(m, decided, channels):
    """Marks the channels that a layer reads: those with m > 0, or the best."""
    ones = (m > 0) | keras.ops.logical_not(decided)
    best = keras.ops.take(channels, keras.ops.argmax(m))
    return keras.ops.where(keras.ops.any(ones), ones, channels == best)
