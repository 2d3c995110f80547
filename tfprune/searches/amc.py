"""AMC: an agent chooses, layer by layer, how many channels to keep.

He, Lin, Liu, Wang, Li and Han, "AMC: AutoML for Model Compression and
Acceleration on Mobile Devices", ECCV 2018, https://arxiv.org/abs/1802.03494.
One episode visits all channel groups in order; the action a_t in (0, 1] is the
fraction of a group to keep, and the state is

    (t, n, c, h, w, stride, k, FLOPs[t], reduced, rest, a_{t-1}).

Every step of an episode gets the reward of the pruned network, which is not
fine-tuned (section 3.2):

    R_err = -error,   R_FLOPs = -error * log(FLOPs),
    R_Param = -error * log(parameters).

The agent is DDPG (section 3.1): the critic learns

    Q(s, a) -> r - b + gamma * Q'(s', mu'(s')),

with b the moving average of earlier rewards and gamma = 1; the actor mu
maximizes Q. Actions are drawn from a normal distribution around mu(s),
truncated to [0, 1], whose width decays after a warm-up of random episodes.

Where the paper is silent (learning rates, the baseline's average, the random
warm-up, one update per step of an episode), this follows the published code,
with two exceptions. Transitions (s, a, r, s', done) are stored whole, where
that code reads s' from the next entry of its ring buffer. And `a` is the
fraction that the budget allowed, as in the next state, where that code stores
the one that the agent requested.
"""

import dataclasses
import math

import keras
import numpy as np

from tfprune.graph import channel_graph

REWARDS = {
    "error": lambda error, cost: -error,
    "flops": lambda error, cost: -error * math.log(cost.macs),
    "params": lambda error, cost: -error * math.log(cost.params),
}


STATES = {
    "paper": (
        *("t", "n", "c", "h", "w", "stride", "k", "flops"),
        *("reduced", "rest", "previous"),
    ),
    "code": (
        *("t", "type", "c", "n", "stride", "k", "numel"),
        *("reduced", "rest", "previous"),
    ),
}


class State:
    """The agent's observation of a group, with each number in [0, 1].

    Features that are constant in an episode are min-max scaled over all
    groups.

    Args:
        name: `"paper"`, as in section 3.1, or `"code"`, as in the published
            code.
        graph: a `ChannelGraph`.
        groups: the groups in the order of their steps.
        flops: list of `float`, multiply-adds of the layer that writes each,
            shared among the groups of a layer.

    Attributes:
        names: tuple of `str`, names of the features.

    Raises:
        ValueError: If the name is unknown.
    """

    def __init__(self, name, graph, groups, flops):
        if name not in STATES:
            raise ValueError(
                f"`state` must be one of {', '.join(STATES)}. Received: "
                f"state={name!r}."
            )
        self.names = STATES[name]
        rows = _features(graph, groups, flops)
        columns = {
            k: np.array([row[k] for row in rows], float) for k in rows[0]
        }
        self._fixed = {
            k: (v - v.min()) / (np.ptp(v) or 1) for k, v in columns.items()
        }

    def observe(self, number, **moving):
        """Returns the state before a step, a float32 array.

        Args:
            number: `int`, index of the group.
            **moving: `reduced`, the fraction of all multiply-adds removed so
                far; `rest`, the fraction in the remaining groups; `previous`,
                the fraction kept of the previous group.
        """
        found = [
            moving[n] if n in moving else self._fixed[n][number]
            for n in self.names
        ]
        return np.array(found, np.float32)


def _features(graph, groups, flops):
    """One `dict` per group, describing the first layer that writes it."""
    steps = {step.layer: step for step in graph.steps}
    reads = {
        b.layer: len(b.labels)
        for b in graph.bindings
        if b.role == channel_graph.READS
    }
    rows = []
    for number, (group, count) in enumerate(zip(groups, flops, strict=True)):
        path = group.writers[0]
        layer, inputs = _within(graph.layers[path]), steps[path].inputs
        shape = inputs[0].shape if inputs else (None, 1)
        height, width, channels = _sizes(layer, shape)
        kernel = np.ravel(getattr(layer, "kernel_size", 1))
        row = {
            "t": number,
            "type": not hasattr(layer, "kernel_size"),
            "n": len(group),
            "c": reads.get(path, channels),
            "h": height,
            "w": width,
            "stride": np.ravel(getattr(layer, "strides", 1))[0],
            "k": kernel[0],
            "flops": count,
        }
        row["numel"] = row["n"] * row["c"] * np.prod(kernel)
        rows.append(row)
    return rows


def _within(layer):
    """The layer that computes, inside those of `TimeDistributed` and others."""
    while isinstance(layer, keras.layers.Wrapper):
        layer = layer.layer
    return layer


def _sizes(layer, shape):
    """Height, width (1 where there is none) and channels of a layer's input."""
    kernel = getattr(layer, "kernel_size", None)
    known = isinstance(kernel, (tuple, list))
    # Without the axis of time, which only the wrapper of a layer may see.
    rank = len(kernel) if known else max(len(shape) - 2, 0)
    channels, axes = shape[-1], shape[-rank - 1 : -1]
    if rank and getattr(layer, "data_format", None) == "channels_first":
        channels, axes = shape[-rank - 1], shape[-rank:]
    return *(*axes, 1, 1)[:2], channels


def reward(name, accuracy, cost):
    """Computes the reward of a pruned network (section 3.2).

    Args:
        name: `"error"`, if a budget bounds the actions; `"flops"` or
            `"params"`, if accuracy does.
        accuracy: `float` in [0, 1].
        cost: a `tfprune.costs.Cost`, with `macs` and `params` as counts.

    Returns:
        `float`.

    Raises:
        ValueError: If the name is unknown.

    Example:

    >>> reward("flops", 0.92, tfprune.cost(small))
    """
    check_reward(name)
    return REWARDS[name](1 - accuracy, cost)


def check_reward(name):
    """Raises a `ValueError` if no reward has this name."""
    if name not in REWARDS:
        raise ValueError(
            f"`reward` must be one of {', '.join(REWARDS)}. Received: "
            f"reward={name!r}."
        )


@dataclasses.dataclass(frozen=True)
class Settings:
    """Hyperparameters of an agent; the defaults are the paper's.

    Args:
        hidden: units in each of the two hidden layers.
        actor_rate, critic_rate: Adam's learning rates.
        tau: weight of the new parameters in target network updates.
        batch_size: transitions per update.
        capacity: size of the replay buffer, in transitions.
        sigma: initial width of the exploration noise.
        decay: decay of that width per episode after the warm-up.
        warmup: episodes of uniformly random actions without updates.
        momentum: momentum of the moving average of rewards.
        seed: `int`.
    """

    hidden: int = 300
    actor_rate: float = 1e-4
    critic_rate: float = 1e-3
    tau: float = 0.01
    batch_size: int = 64
    capacity: int = 2000
    sigma: float = 0.5
    decay: float = 0.95
    warmup: int = 100
    momentum: float = 0.5
    seed: int = 0

    def width(self, episode):
        """Returns the exploration width in an episode, counted from 0."""
        return self.sigma * self.decay ** max(0, episode - self.warmup)
