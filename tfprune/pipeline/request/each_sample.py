"""The loss of each sample, as `fit` computes it before it takes the mean."""

import keras
import numpy as np


def loss_of(loss, truth, output, mask=None):
    """The loss of each sample at one output.

    Args:
        loss: a `keras.losses.Loss` or a function.
        truth, output: numpy, the targets and what the model gave.
        mask: bool array of the first axes of the output; what is false does
            not count. `None` counts all.

    Returns:
        Array of shape `(samples,)`. A loss that gives one number for a batch
        counts alike for each of its samples.
    """
    kind = getattr(loss, "dtype", None) or keras.config.floatx()
    truth, output = (
        keras.ops.convert_to_tensor(part, kind) for part in (truth, output)
    )
    if isinstance(loss, keras.losses.Loss):
        found = loss.call(truth, output)
    else:
        found = loss(*of_one_rank(truth, output))
    found = keras.ops.convert_to_numpy(found)
    if not found.ndim:
        return np.full(len(output), found)
    if mask is None or found.shape[: mask.ndim] != mask.shape:
        return found.reshape(len(output), -1).mean(1)
    kept = np.broadcast_to(
        mask.reshape(mask.shape + (1,) * (found.ndim - mask.ndim)), found.shape
    )
    kept = kept.reshape(len(output), -1)
    total = np.where(kept, found.reshape(len(output), -1), 0).sum(1)
    return total / np.maximum(kept.sum(1), 1)


def of_one_rank(truth, output):
    """Targets and outputs whose ranks differ by a last axis of 1, aligned.

    Keras does so before it calls a loss that is a function; otherwise targets
    of shape `(n,)` and outputs of shape `(n, 1)` would become `(n, n)`.
    """
    ops = keras.ops
    less = len(output.shape) - len(truth.shape)
    if less == 1 and output.shape[-1] == 1:
        if len(truth.shape) == 1:
            return ops.expand_dims(truth, -1), output
        return truth, ops.squeeze(output, -1)
    if less == -1 and truth.shape[-1] == 1:
        if len(output.shape) == 1:
            return truth, ops.expand_dims(output, -1)
        return ops.squeeze(truth, -1), output
    return truth, output
