"""AMC: an agent decides, layer by layer, how many channels stay.

He, Lin, Liu, Wang, Li and Han, "AMC: AutoML for Model Compression and
Acceleration on Mobile Devices", ECCV 2018, https://arxiv.org/abs/1802.03494.
One episode visits all groups of channels in order; the action a_t in (0, 1]
is the share of a group that stays, and the state is

    (t, n, c, h, w, stride, k, FLOPs[t], reduced, rest, a_{t-1}).

The reward of the pruned network, which is not fine-tuned, counts for every
step of its episode (section 3.2):

    R_err = -error,   R_FLOPs = -error * log(FLOPs),
    R_Param = -error * log(parameters).

The agent is DDPG (section 3.1): the critic learns

    Q(s, a) -> r - b + gamma * Q'(s', mu'(s')),

with b the moving average of earlier rewards and gamma = 1; the actor mu climbs
Q. Actions are drawn from a normal distribution around mu(s), cut to [0, 1],
whose width decays after a warm-up of random episodes.

Where the paper is silent (learning rates, the baseline's average, the random
warm-up, one update for each step of an episode) this is what the published
code does, but for two things: transitions are kept whole, (s, a, r, s', done),
where that code reads the next entry of its ring; and `a` is the share that the
budget allowed, as it stands in the next state, where that code remembers the
one the agent asked for.
"""

import dataclasses
import math

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
    """What the agent sees of a group, each number in [0, 1].

    What does not change in an episode is scaled from its least to its
    largest value over all groups.

    Args:
        name: `"paper"`, section 3.1, or `"code"`, that of the published code.
        graph: a `ChannelGraph`.
        groups: the groups in the order of their steps.
        flops: list of `int`, multiply-adds of the layer that writes each.

    Attributes:
        names: tuple of `str`, what the numbers are.

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
        """The state before a step, float32 array.

        Args:
            number: `int`, the group.
            **moving: `reduced`, the share of all multiply-adds that is gone;
                `rest`, that of the groups to come; `previous`, the share of
                the group before that stayed.
        """
        found = [
            moving[n] if n in moving else self._fixed[n][number]
            for n in self.names
        ]
        return np.array(found, np.float32)


def _features(graph, groups, flops):
    """A `dict` for each group, of the layer that writes it first."""
    steps = {step.layer: step for step in graph.steps}
    reads = {
        b.layer: len(b.labels)
        for b in graph.bindings
        if b.role == channel_graph.READS
    }
    rows = []
    for number, (group, count) in enumerate(zip(groups, flops, strict=True)):
        path = group.writers[0]
        layer, inputs = graph.layers[path], steps[path].inputs
        shape = inputs[0].shape if inputs else (None, 1)
        kernel = np.ravel(getattr(layer, "kernel_size", 1))
        row = {
            "t": number,
            "type": not hasattr(layer, "kernel_size"),
            "n": len(group),
            "c": reads.get(path, shape[-1]),
            "h": shape[1] if len(shape) > 2 else 1,
            "w": shape[2] if len(shape) > 3 else 1,
            "stride": np.ravel(getattr(layer, "strides", 1))[0],
            "k": kernel[0],
            "flops": count,
        }
        row["numel"] = row["n"] * row["c"] * np.prod(kernel)
        rows.append(row)
    return rows


def reward(name, accuracy, cost):
    """The reward of a pruned network, section 3.2.

    Args:
        name: `"error"`, where a budget bounds the actions; `"flops"` or
            `"params"`, where accuracy does.
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
    """Raises a `ValueError` if there is no reward of this name."""
    if name not in REWARDS:
        raise ValueError(
            f"`reward` must be one of {', '.join(REWARDS)}. Received: "
            f"reward={name!r}."
        )


@dataclasses.dataclass(frozen=True)
class Settings:
    """What an agent is made of; the defaults are those of the paper.

    Args:
        hidden: units of each of the two hidden layers.
        actor_rate, critic_rate: learning rates of Adam.
        tau: share of the new weights in the target networks' update.
        batch_size: transitions in an update.
        capacity: transitions that are remembered.
        sigma: width of the exploration at first.
        decay: of the width, after each episode beyond the warm-up.
        warmup: episodes of uniformly random actions without updates.
        momentum: of the moving average of rewards.
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
        """The width of the exploration in an episode, counted from 0."""
        return self.sigma * self.decay ** max(0, episode - self.warmup)
