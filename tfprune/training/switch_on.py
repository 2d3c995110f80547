"""When the thresholds of STR start to prune, and how to choose that.

Kusupati et al., "Soft threshold weight reparameterization for learnable
sparsity", 2020, https://arxiv.org/abs/2002.03231. The method is
`methods.soft_threshold`. As long as the threshold g(s) is too small to have a
gradient, its s obeys

    ln|s_t| = ln|s_0| - decay / (1 - momentum) * sum of the learning rates,

which follows from the update of SGD; it is not in the paper.
"""

import math

import numpy as np

# How often a schedule is asked in an epoch.
_SAMPLES = 32


def switch_on_epoch(
    initial,
    decay,
    learning_rate,
    steps_per_epoch,
    momentum=0.0,
    until=-10.0,
    epochs=10_000,
):
    """When thresholds start to prune: the epoch at which s reaches `until`.

    Until then decay alone moves s, which makes it computable.

    Args:
        initial: `float`, s at the start.
        decay: `float`, that of s: the `decay` of `SoftThreshold`, or the
            `weight_decay` of the optimizer.
        learning_rate: `float`, a `keras.optimizers.schedules` schedule, or
            any function of the step.
        steps_per_epoch: `int`, optimizer steps.
        momentum: `float`, of SGD; 0 for a decay beside the gradient, as
            Keras's `weight_decay`.
        until: `float`, s where pruning starts: sigmoid(-10) is 4.5e-5.
        epochs: `int`, after how many epochs to stop looking.

    Returns:
        `float`, in epochs; infinity if `epochs` are not enough.

    Example:

    >>> tfprune.training.switch_on_epoch(-100, 5e-4, 0.1, 391, momentum=0.9)
    11.77...
    """
    _check_start(initial, until, decay, momentum)
    wanted = math.log(initial / until) * (1 - momentum) / decay
    if not callable(learning_rate):
        return wanted / (learning_rate * steps_per_epoch)
    reached = 0.0
    for epoch in range(epochs):
        rate = _mean_rate(
            learning_rate, epoch * steps_per_epoch, steps_per_epoch
        )
        if reached + rate * steps_per_epoch >= wanted:
            return epoch + (wanted - reached) / (rate * steps_per_epoch)
        reached += rate * steps_per_epoch
    return math.inf


def start_value(
    fraction, total_steps, decay, learning_rate, momentum=0.0, until=-10.0
):
    """The start value of s that lets pruning begin at a wanted time.

    The inverse of `switch_on_epoch`. A tenth to a third of the training is
    usual.

    Args:
        fraction: `float` in [0, 1), of the training.
        total_steps: `int`, optimizer steps of the whole training.
        decay, learning_rate, momentum, until: as for `switch_on_epoch`.

    Returns:
        `float`, for `SoftThreshold(initial=...)`.

    Example:

    >>> tfprune.training.start_value(0.1, 46_050, 5e-4, 0.1, momentum=0.9)
    -99.99...
    """
    _check_start(until, until, decay, momentum)
    if not 0 <= fraction < 1:
        raise ValueError(
            "`fraction` must be in [0, 1), a part of the training. Received: "
            f"fraction={fraction!r}"
        )
    steps = fraction * total_steps
    if callable(learning_rate):
        total = sum(
            _mean_rate(learning_rate, part * steps / _SAMPLES, steps / _SAMPLES)
            for part in range(_SAMPLES)
        )
        total *= steps / _SAMPLES
    else:
        total = learning_rate * steps
    return until * math.exp(decay / (1 - momentum) * total)


def _mean_rate(schedule, begin, steps):
    """The mean learning rate of `steps` steps, at the middles of parts."""
    parts = max(1, min(_SAMPLES, int(steps)))
    middles = begin + (np.arange(parts) + 0.5) * steps / parts
    return float(np.mean([float(schedule(int(step))) for step in middles]))


def _check_start(initial, until, decay, momentum):
    for name, value, right in (
        ("until", until, until < 0),
        ("initial", initial, initial <= until),
        ("decay", decay, decay > 0),
        ("momentum", momentum, 0 <= momentum < 1),
    ):
        if not right:
            raise ValueError(
                "s is pulled up from `initial` to `until` below 0 by a `decay`"
                " above 0, with a `momentum` in [0, 1). Received: "
                f"{name}={value!r}"
            )
