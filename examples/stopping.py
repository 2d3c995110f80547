"""Callbacks that freeze a method's learned state once it has pruned enough."""

import keras
import numpy as np

import tfprune
from tfprune.graph import values
from tfprune.sparsity import wrapper

EVERY = 10  # Steps between two checks.


def _synchronize(model):
    # During `fit`, the JAX trainer holds the state outside the model.
    synchronize = getattr(model, "jax_state_sync", None)
    if synchronize is not None:
        synchronize()


class WhenPruned(keras.callbacks.Callback):
    """Freezes a method's state once only a share of the weights is left.

    Args:
        wrapped: the model that is trained, or a part of it.
        share: `float`, fraction of the weights; `None` for never.
        hold: function from `wrapped` to what has a method `again`, which is
            called after every step from then on.
    """

    def __init__(self, wrapped, share, hold):
        super().__init__()
        self.wrapped, self.share, self.hold = wrapped, share, hold
        self.held = None

    def on_train_batch_end(self, batch, logs=None):
        if self.held:
            _synchronize(self.model)
            self.held.again()
        elif self.share is not None and batch % EVERY == 0:
            _synchronize(self.model)
            if wrapper.sparsity(self.wrapped) >= 1 - self.share:
                self.held = self.hold(self.wrapped)


class Held:
    """Restores a method's learned state after each step."""

    def __init__(self, wrapped):
        variables = wrapper.learned(wrapped)
        # Training on JAX deletes what it has read from a variable.
        self.values = [(v, np.array(values.numpy(v))) for v in variables]

    def again(self):
        for variable, value in self.values:
            variable.assign(value)


class Frozen:
    """Freezes indicators."""

    def __init__(self, wrapped):
        tfprune.methods.freeze_indicators(wrapped)

    def again(self):
        """Does nothing: no optimizer updates them any more."""


class Enough(keras.callbacks.Callback):
    """Stops training once the average bits are a share of 8."""

    def __init__(self, wrapped, share):
        super().__init__()
        self.wrapped, self.share, self.epochs = wrapped, share or 0, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if batch % EVERY == 0:
            _synchronize(self.model)
            bits = tfprune.reports.bits(self.wrapped).learned_average_bits
            self.model.stop_training = bits <= 8 * self.share
