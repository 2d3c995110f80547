"""DDPG: an agent that learns one action in [0, 1] per state.

Lillicrap, Hunt, Pritzel, Heess, Erez, Tassa, Silver and Wierstra, "Continuous
control with deep reinforcement learning", 2015,
https://arxiv.org/abs/1509.02971, as in AMC (`tfprune.searches.amc`): the reward
comes at the end of an episode and is assigned to all of its steps.
"""

import keras
import numpy as np


def truncated_normal(mean, sigma, rng):
    """Draws from a normal distribution truncated to [0, 1].

    Args:
        mean: `float` in [0, 1].
        sigma: `float`, non-negative.
        rng: a `numpy.random.Generator`.

    Returns:
        `float`.

    Raises:
        ValueError: If the mean is NaN, as of an agent whose weights are.
    """
    if np.isnan(mean):
        raise ValueError(
            "A search needs rewards of a size that its agent can learn from. "
            f"Received: mean={mean}, as its weights have become NaN. Scale "
            "the metric, or lower the learning rates of the settings."
        )
    while True:
        drawn = rng.normal(mean, sigma)
        if 0 <= drawn <= 1:
            return float(drawn)


class Agent:
    """Deep deterministic policy gradient for one action in [0, 1].

    The same seed, states and rewards give the same actions.

    Args:
        size: `int`, length of a state.
        settings: its hyperparameters, such as `searches.amc.Settings`.

    Example:

    >>> agent = Agent(11, amc.Settings())
    >>> action = agent.act(state, episode=0)
    >>> agent.learn(episode=0, transitions=[(state, action, next_state, True)],
    ...             reward=-0.1)
    """

    def __init__(self, size, settings):
        self.settings = settings
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
        """Returns the action without exploration, a `float`."""
        found = self._actor.predict_on_batch(np.asarray(state)[None])
        return float(np.asarray(found)[0, 0])

    def act(self, state, episode):
        """Returns the action in an episode, a `float` in [0, 1]."""
        if episode < self.settings.warmup:
            return float(self._rng.uniform())
        width = self.settings.width(episode)
        return truncated_normal(self.policy(state), width, self._rng)

    def learn(self, episode, transitions, reward):
        """Stores an episode and makes one update per step.

        Args:
            episode: `int`, counted from 0.
            transitions: list of `(state, action, next_state, done)`.
            reward: `float`, reward of the whole episode. One that is not
                finite is not stored: it would make all weights NaN.
        """
        if np.isfinite(reward):
            self._memory += [
                (s, a, reward, after, done) for s, a, after, done in transitions
            ]
        self._memory = self._memory[-self.settings.capacity :]
        if episode < self.settings.warmup or not self._memory:
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
    """Computes Q(s, mu(s)); only the actor's weights are trained."""

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
