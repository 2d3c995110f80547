"""Learning rate rewinding: retraining with the original schedule."""

import collections.abc

import keras


@keras.saving.register_keras_serializable("tfprune")
class Rewound(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate schedule that jumps back after pruning.

    Fine-tuning at the final, low learning rate recovers less accuracy than
    retraining with the original schedule. The weights are kept; only the
    learning rate is rewound.

    Args:
        schedule: a `keras.optimizers.schedules.LearningRateSchedule`.
        to: `int`, the step of `schedule` to jump back to.
        at: list of `int`s, the steps at which to jump. By default the
            schedule starts at `to`, which suits a new optimizer.

    Example:

    >>> decay = keras.optimizers.schedules.CosineDecay(0.1, 10_000)
    >>> small = tfprune.prune(model, tfprune.Budget(macs=0.5))
    >>> small.compile(keras.optimizers.SGD(Rewound(decay, to=2_000)), ...)

    In the rounds of `Iterative(0.8, rounds=3, begin=10_000,
    frequency=8_000)`:

    >>> rounds = Rewound(decay, to=2_000, at=[10_000, 18_000, 26_000])

    Reference:

    - Renda, Frankle and Carbin, "Comparing rewinding and fine-tuning in
      neural network pruning", 2020, https://arxiv.org/abs/2003.02389
    """

    def __init__(self, schedule, to=0, at=(0,)):
        super().__init__()
        if not callable(schedule):
            raise ValueError(
                "`schedule` must be a learning rate schedule, a function of "
                f"the step. Received: schedule={schedule!r}"
            )
        self.schedule = schedule
        self.to = to
        self.at = list(at) if isinstance(at, collections.abc.Iterable) else []
        if self.at != sorted(set(self.at)) or not self.at or self.at[0] < 0:
            raise ValueError(
                "`at` must be increasing steps, at least one. Received: "
                f"at={at!r}"
            )
        if not self.to >= 0:
            raise ValueError(
                "`to` must be a step of the schedule, at least 0. Received: "
                f"to={to!r}"
            )

    def __call__(self, step):
        step = keras.ops.cast(step, "int32")
        replayed = step
        for jump in self.at:
            replayed = keras.ops.where(
                step >= jump, self.to + step - jump, replayed
            )
        return self.schedule(replayed)

    def get_config(self):
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "to": self.to, "at": self.at}

    @classmethod
    def from_config(cls, config):
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(**{**config, "schedule": schedule})
