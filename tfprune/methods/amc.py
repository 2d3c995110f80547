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
code does; transitions are kept whole, (s, a, r, s', done), where that code
reads the next entry of its ring.
"""

import dataclasses
import math

import keras
import numpy as np

REWARDS = {
    "error": lambda error, cost: -error,
    "flops": lambda error, cost: -error * math.log(cost.macs),
    "params": lambda error, cost: -error * math.log(cost.params),
}


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


def truncated_normal(mean, sigma, rng):
    """A draw from a normal distribution, given that it lies in [0, 1].

    Args:
        mean: `float` in [0, 1].
        sigma: `float`, not negative.
        rng: a `numpy.random.Generator`.

    Returns:
        `float`.
    """
    while True:
        drawn = rng.normal(mean, sigma)
        if 0 <= drawn <= 1:
            return float(drawn)


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


class Agent:
    """Deep deterministic policy gradient for one action in [0, 1].

    The same seed, states and rewards give the same actions.

    Args:
        size: `int`, length of a state.
        settings: `Settings`.

    Example:

    >>> agent = Agent(11)
    >>> action = agent.act(state, episode=0)
    >>> agent.learn(episode=0, transitions=[(state, action, next_state, True)],
    ...             reward=-0.1)
    """

    def __init__(self, size, settings=None):
        self.settings = settings = settings or Settings()
        self._rng = np.random.default_rng(settings.seed)
        seeds = iter(range(settings.seed * 100, settings.seed * 100 + 100))
        self._actor = _actor(size, settings.hidden, seeds)
        self._critic = _critic(size, settings.hidden, seeds)
        self._targets = [_copy(self._actor), _copy(self._critic)]
        adam = keras.optimizers.Adam
        self._critic.compile(adam(settings.critic_rate), "mse")
        self._climb = _Climb(self._actor, self._critic)
        self._climb.compile(adam(settings.actor_rate), _minus)
        self._memory, self._baseline = [], None

    def policy(self, state):
        """The action without exploration, `float`."""
        found = self._actor.predict_on_batch(np.asarray(state)[None])
        return float(np.asarray(found)[0, 0])

    def act(self, state, episode):
        """The action in an episode, `float` in [0, 1]."""
        if episode < self.settings.warmup:
            return float(self._rng.uniform())
        width = self.settings.width(episode)
        return truncated_normal(self.policy(state), width, self._rng)

    def learn(self, episode, transitions, reward):
        """Remembers an episode, and learns once for each of its steps.

        Args:
            episode: `int`, counted from 0.
            transitions: list of `(state, action, next_state, done)`.
            reward: `float`, of the whole episode.
        """
        self._memory += [
            (s, a, reward, after, done) for s, a, after, done in transitions
        ]
        self._memory = self._memory[-self.settings.capacity :]
        if episode < self.settings.warmup:
            return
        for _ in transitions:
            self._update()

    def _update(self):
        settings = self.settings
        size = min(settings.batch_size, len(self._memory))
        chosen = self._rng.choice(len(self._memory), size, replace=False)
        columns = zip(*(self._memory[i] for i in chosen), strict=True)
        s, a, r, after, done = (np.asarray(c, "float32") for c in columns)
        mean = float(r.mean())
        if self._baseline is None:
            self._baseline = mean
        keep = settings.momentum
        self._baseline = keep * self._baseline + (1 - keep) * mean
        actor, critic = self._targets
        future = critic.predict_on_batch([after, actor.predict_on_batch(after)])
        goal = r - self._baseline + (1 - done) * np.asarray(future)[:, 0]
        self._critic.train_on_batch([s, a[:, None]], goal[:, None])
        self._climb.train_on_batch(s, goal[:, None])
        for target, source in zip(
            self._targets, (self._actor, self._critic), strict=True
        ):
            pairs = zip(target.get_weights(), source.get_weights(), strict=True)
            target.set_weights(
                [old + settings.tau * (new - old) for old, new in pairs]
            )


@keras.saving.register_keras_serializable("tfprune")
class _Climb(keras.Model):
    """Q(s, mu(s)), of which only the actor's weights are trained."""

    def __init__(self, actor, critic):
        super().__init__(name="climb")
        self.actor, self.critic = actor, critic
        self.built = True

    def call(self, states):
        return self.critic([states, self.actor(states)])

    @property
    def trainable_variables(self):
        return self.actor.trainable_variables

    @property
    def trainable_weights(self):
        return self.trainable_variables

    @property
    def non_trainable_variables(self):
        return self.critic.variables

    @property
    def non_trainable_weights(self):
        return self.non_trainable_variables


def _minus(_, value):
    return -keras.ops.mean(value)


def _dense(units, seeds, activation=None, spread=None):
    if spread is None:
        start = keras.initializers.VarianceScaling(
            1 / 3, "fan_in", "uniform", seed=next(seeds)
        )
    else:
        start = keras.initializers.RandomUniform(
            -spread, spread, seed=next(seeds)
        )
    return keras.layers.Dense(units, activation, kernel_initializer=start)


def _actor(size, hidden, seeds):
    state = x = keras.Input((size,))
    for _ in range(2):
        x = _dense(hidden, seeds, "relu")(x)
    return keras.Model(state, _dense(1, seeds, "sigmoid", 3e-3)(x))


def _critic(size, hidden, seeds):
    state, action = keras.Input((size,)), keras.Input((1,))
    x = keras.layers.Add()(
        [_dense(hidden, seeds)(state), _dense(hidden, seeds)(action)]
    )
    x = _dense(hidden, seeds, "relu")(keras.layers.ReLU()(x))
    return keras.Model([state, action], _dense(1, seeds, None, 3e-3)(x))


def _copy(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy
