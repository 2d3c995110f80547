"""L0 regularization: learns stochastic gates that close over unused channels.

Louizos, Welling, Kingma, "Learning Sparse Neural Networks through L0
Regularization", 2018, https://arxiv.org/abs/1712.01312. Each channel that a
layer reads has a gate z, sampled in every training step from the hard concrete
distribution, a concrete distribution stretched beyond [0, 1] and clipped:

    u ~ uniform(0, 1)
    s = sigmoid((log u - log(1 - u) + log_alpha) / beta)
    z = min(1, max(0, s (zeta - gamma) + gamma))

and in inference s = sigmoid(log_alpha). The penalty on a gate is its expected
L0 norm, the probability that it is open:

    P(z != 0) = sigmoid(log_alpha - beta log(-gamma / zeta))

with beta = 2/3, gamma = -0.1, zeta = 1.1, as in the paper. `log_alpha` stays in
[log 0.01, log 100], as in the authors' code.

Two things differ from the paper: every open gate costs the same, where the
paper multiplies its price by the number of its weights; and all gates start
alike, at a drop rate of 0.05 by default, where the authors' code adds noise and
starts at 0.5.
"""

import dataclasses
import math

import keras
import numpy as np

from tfprune.core import records
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import reading

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
LIMIT = math.log(100)


@method_lib.register("hard_concrete")
@dataclasses.dataclass(frozen=True)
class HardConcrete(method_lib.Method):
    """Learns a gate for each channel that a layer reads.

    `strip` removes a channel once the gates of all layers that read it have
    closed. Channels that cannot be removed have no gates.

    Args:
        strength: `float`, penalty on an open gate.
        drop_rate: `float` in (0, 1), approximate fraction of gates closed at
            the start; below 1/12, inference does not change.
        seed: `int`, seed of the gates' noise; `None` draws one.

    Example:

    >>> wrapped = tfprune.wrap(model, tfprune.methods.HardConcrete(1e-3))
    >>> wrapped.fit(dataset, epochs=100)
    >>> small = tfprune.strip(wrapped)
    """

    strength: float = 1e-3
    drop_rate: float = 0.05
    seed: int | None = None

    def __post_init__(self):
        records.check_number(self, "strength", "[0, inf)")
        records.check_number(self, "drop_rate", "(0, 1)")

    def sites(self, layer):
        return reading.names(layer)

    def build(self, slot):
        (axis,) = slot.axes.reads
        shape = (slot.shape[axis],)
        start = math.log((1 - self.drop_rate) / self.drop_rate)
        slot.add_weight(
            "log_alpha",
            shape,
            initializer=keras.initializers.Constant(start),
            constraint=Clipped(),
        )
        slot.add_weight(
            "slices",
            shape,
            initializer=keras.initializers.Constant(-1),
            trainable=False,
            dtype="int32",
        )
        # Rows that read one channel share the gate of its number.
        slot.add_weight(
            "gates", shape, initializer="zeros", trainable=False, dtype="bool"
        )
        slot.add_noise(self.seed)

    def prepare(self, model, slots):
        numbers = reading.slices(model, slots)
        reading.warn_of_none(slots, [number >= 0 for number in numbers])
        for slot, number in zip(slots, numbers, strict=True):
            slot["slices"].assign(number)
            slot["gates"].assign(np.isin(np.arange(len(number)), number))

    def effective_kernel(self, slot, kernel, training=False):
        log_alpha = slot["log_alpha"].value
        u = None
        if training:
            # Away from 0 and 1, whose logarithms are infinite.
            u = keras.random.uniform(
                log_alpha.shape, 1e-6, 1 - 1e-6, "float32", seed=slot.noise
            )
        slices = slot["slices"].value
        z = keras.ops.take(gate(log_alpha, u), keras.ops.maximum(slices, 0))
        z = keras.ops.where(slices >= 0, z, 1)
        return kernel * keras.ops.cast(reading.along(slot, z), kernel.dtype)

    def penalty(self, slot):
        price = open_probability(slot["log_alpha"].value)
        price = keras.ops.where(slot["gates"].value, price, 0)
        return self.strength * keras.ops.sum(price)


@keras.saving.register_keras_serializable("tfprune", "GateClipped")
class Clipped(keras.constraints.Constraint):
    """Keeps `log_alpha` in the range where its gradient does not vanish."""

    def __call__(self, value):
        return keras.ops.clip(value, -LIMIT, LIMIT)


def gate(log_alpha, u=None):
    """Computes the gate z in [0, 1].

    Args:
        log_alpha: float tensor.
        u: tensor of that shape, uniform in (0, 1); `None` for inference.
    """
    if u is None:
        s = keras.ops.sigmoid(log_alpha)
    else:
        noise = keras.ops.log(u) - keras.ops.log(1 - u)
        s = keras.ops.sigmoid((noise + log_alpha) / BETA)
    return keras.ops.clip(s * (ZETA - GAMMA) + GAMMA, 0, 1)


def open_probability(log_alpha):
    """Computes `P(z != 0)`, a tensor of the shape of `log_alpha`."""
    return keras.ops.sigmoid(log_alpha - BETA * math.log(-GAMMA / ZETA))
