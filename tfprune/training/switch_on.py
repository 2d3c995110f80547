"""Predicts when the thresholds of STR start to prune.

Kusupati et al., "Soft threshold weight reparameterization for learnable
sparsity", 2020, https://arxiv.org/abs/2002.03231. The method is
`methods.soft_threshold`. While the threshold g(s) is too small to have a
gradient, s obeys

    ln|s_t| = ln|s_0| - decay / (1 - momentum) * sum of the learning rates,

which follows from SGD's update rule; it is not in the paper.
"""

import math

import numpy as np

# How often per epoch to sample a learning rate schedule.
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
    """Predicts the epoch at which s reaches `until` and pruning starts.

    Until then decay alone moves s, so the epoch can be computed.

    Args:
        initial: `float`, initial s.
        decay: `float`, decay of s: the `decay` of `SoftThreshold`, or the
            `weight_decay` of the optimizer.
        learning_rate: `float`, a `keras.optimizers.schedules` schedule, or
            any function of the step.
        steps_per_epoch: `int`, optimizer steps per epoch.
        momentum: `float`, SGD's momentum; 0 for decoupled decay such as
            Keras's `weight_decay`.
        until: `float`, s at which pruning starts: sigmoid(-10) is 4.5e-5.
        epochs: `int`, maximum number of epochs to consider.

    Returns:
        `float`, in epochs; infinity if s does not get there in `epochs`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> tfprune.training.switch_on_epoch(-100, 5e-4, 0.1, 391, momentum=0.9)
    11.77...
    """
    _check_start(initial, until, decay, momentum)
    _check_steps(learning_rate, "steps_per_epoch", steps_per_epoch)
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
    """Computes the initial s for pruning to start at a given time.

    The inverse of `switch_on_epoch`. A tenth to a third of the training is
    typical.

    Args:
        fraction: `float` in [0, 1), fraction of the training.
        total_steps: `int`, optimizer steps of the whole training.
        decay, learning_rate, momentum, until: as for `switch_on_epoch`.

    Returns:
        `float`, for `SoftThreshold(initial=...)`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> tfprune.training.start_value(0.1, 46_050, 5e-4, 0.1, momentum=0.9)
    -99.99...
    """
    _check_start(until, until, decay, momentum)
    _check_steps(learning_rate, "total_steps", total_steps)
    if not 0 <= fraction < 1:
        raise ValueError(
            "`fraction` must be in [0, 1), a fraction of the training. "
            f"Received: fraction={fraction!r}"
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
    """The mean learning rate over `steps` steps, by the midpoint rule."""
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
                "`initial` must be at most `until`, `until` below 0, `decay` "
                "above 0 and `momentum` in [0, 1). Received: "
                f"{name}={value!r}"
            )


def _check_steps(learning_rate, name, steps):
    if not _is_positive(steps):
        raise ValueError(
            f"`{name}` must be a number of optimizer steps, above 0. Received: "
            f"{name}={steps!r}"
        )
    if not callable(learning_rate) and not _is_positive(learning_rate):
        raise ValueError(
            "`learning_rate` must be a number above 0, or a function of the "
            f"step. Received: learning_rate={learning_rate!r}"
        )


def _is_positive(value):
    try:
        return not isinstance(value, str) and 0 < float(value) < math.inf
    except (TypeError, ValueError):
        return False
