"""Strategies by which a search chooses networks to try.

A strategy is a function `(env, evaluations, settings)` that yields, for each
episode, the reward and the last `info`. References:

- AMC: He et al., ECCV 2018, https://arxiv.org/abs/1802.03494
- greedy: Yang et al., "NetAdapt", ECCV 2018,
  https://arxiv.org/abs/1804.03230 (without its short fine-tuning)
- one_plus_one: Rechenberg, "Evolutionsstrategie", 1973, the (1+1)-ES whose
  steps grow with every success and shrink with every failure so that one in
  five succeeds
- evolution: Hansen, "The CMA evolution strategy: a tutorial", 2016,
  https://arxiv.org/abs/1604.00772
- bayesian: Bergstra et al., "Algorithms for hyper-parameter optimization",
  NeurIPS 2011 (tree-structured Parzen estimators)
"""

import numpy as np

from tfprune.core import packages
from tfprune.core import registry
from tfprune.searches import ddpg

STRATEGIES = registry.Registry("strategy")
_START = 0.75  # Leaves room on both sides; only proportions matter.
_SPREAD = 0.2
_STEP = 0.5  # Initial step size on the logarithms of shares.
_WIDEST = 2.0


@STRATEGIES.register("amc")
def amc(env, evaluations, settings):
    """Runs the agent of AMC."""
    agent = ddpg.Agent(env.observation_space.shape[0], settings)
    for number in range(evaluations):
        steps, value, info = _episode(env, lambda s, n=number: agent.act(s, n))
        agent.learn(number, steps, value)
        yield value, info


def _episode(env, act):
    """Plays one episode; `act` returns the action for a state."""
    state, _ = env.reset()
    steps, done = [], False
    while not done:
        action = act(state)
        after, value, done, _, info = env.step(action)
        # Store the fraction that the budget allowed, not the requested one:
        # the reward belongs to the former.
        steps.append((state, info["kept"], after, float(done)))
        state = after
    return steps, value, info


@STRATEGIES.register("random")
def random(env, evaluations, settings):
    """Draws random actions, as in the warm-up of AMC."""
    rng = np.random.default_rng(settings.seed)
    for _ in range(evaluations):
        _, value, info = _episode(env, lambda state: rng.uniform())
        yield value, info


@STRATEGIES.register("greedy")
def greedy(env, evaluations, settings):
    """Prunes one group at a time, the one that costs least accuracy.

    The way to the budget is divided into as many equal stages as the number
    of trials allows; each stage tries every group. Networks of earlier stages
    exceed the budget, so only those of the last stage are trials.
    """
    del settings
    if not env.has_budget:
        raise ValueError(
            "The strategy 'greedy' needs a budget. Received: "
            "budget=None. Give a tfprune.Budget, or choose another strategy."
        )
    count = len(env.groups)
    stretches = max(1, evaluations // count)
    shares = [1.0] * count
    for number in range(1, stretches + 1):
        part = number / stretches
        while not env.fits(shares, part):
            found = [env.shortened(shares, i, part) for i in range(count)]
            found = [shorter for shorter in found if shorter != shares]
            fitting = [s for s in found if env.fits(s, part)]
            if number == stretches:
                yield from map(env.play, fitting)
            shares = max(fitting or found, key=env.accuracy)
    yield env.play(shares)


@STRATEGIES.register("one_plus_one")
def one_plus_one(env, evaluations, settings):
    """Runs the (1+1)-ES on proportions, from equal or ranked ones.

    A few groups change at a time, because most networks have many.
    """
    rng = np.random.default_rng(settings.seed)
    starts = [env.scaled([_START] * len(env.groups)), env.ranked()]
    outcomes = []
    for shares in starts[: evaluations if env.has_budget else 1]:
        outcomes.append((*env.play(shares), shares))
        yield outcomes[-1][:2]
    best, _, shares = max(outcomes, key=lambda outcome: outcome[0])
    step, few = _STEP, max(0.3, 1 / len(shares))
    for _ in range(evaluations - len(outcomes)):
        noise = rng.normal(0, step, len(shares))
        chosen = rng.random(len(shares)) < few
        chosen[rng.integers(len(shares))] = True
        tried = np.minimum(1.0, shares * np.exp(noise * chosen))
        tried = env.scaled(tried.tolist())
        value, info = env.play(tried)
        yield value, info
        if value >= best:
            best, shares = value, tried
            # On a flat objective every step succeeds; bound the step size.
            step = min(step * np.exp(0.8), _WIDEST)
        else:
            step *= np.exp(-0.2)


@STRATEGIES.register("evolution")
def evolution(env, evaluations, settings):
    """Runs CMA-ES on the groups' proportions, from equal ones."""
    cma = packages.load("cma", "search", "The strategy 'evolution'")
    start = [_START] * len(env.groups)
    options = {
        "bounds": [0, 1],
        "seed": settings.seed + 1,  # For cma, 0 means the time of day.
        "verbose": -9,
    }
    yield env.play(env.scaled(start))
    left = evaluations - 1 if len(start) > 1 else 0  # One has no proportions.
    engine = cma.CMAEvolutionStrategy(start, _SPREAD, options)
    while left > 0:
        asked = engine.ask()
        losses = []
        for shares in asked[:left]:
            value, info = env.play(env.scaled(shares))
            losses.append(-value)
            yield value, info
        left -= len(asked)
        if len(losses) == len(asked):
            engine.tell(asked, losses)


@STRATEGIES.register("bayesian")
def bayesian(env, evaluations, settings):
    """Runs Optuna's Parzen estimators on proportions, from equal ones."""
    optuna = packages.load("optuna", "search", "The strategy 'bayesian'")
    names = [group.name for group in env.groups]
    sampler = optuna.samplers.TPESampler(seed=settings.seed)
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    optuna.logging.set_verbosity(level)
    study.enqueue_trial(dict.fromkeys(names, _START))
    for _ in range(evaluations):
        trial = study.ask()
        shares = [trial.suggest_float(name, 0, 1) for name in names]
        value, info = env.play(env.scaled(shares))
        study.tell(trial, value)
        yield value, info


def _single(slope):
    """One network whose removed fraction is linear in a group's depth.

    Args:
        slope: function from a depth in [0, 1] to the weight of a group.
    """

    def play(env, evaluations, settings):
        del evaluations, settings
        count = len(env.groups)
        weights = [slope(i / max(count - 1, 1)) for i in range(count)]
        low, high = 0.0, 1.0
        for _ in range(20):  # bisect for the least removal that fits
            middle = (low + high) / 2
            if env.fits(_shares(weights, middle)):
                high = middle
            else:
                low = middle
        yield env.play(_shares(weights, high))

    return play


def _shares(weights, strength):
    return [1 - min(1.0, strength * weight) for weight in weights]


STRATEGIES.register("uniform")(_single(lambda depth: 1.0))
STRATEGIES.register("shallow")(_single(lambda depth: 2 * (1 - depth)))
STRATEGIES.register("deep")(_single(lambda depth: 2 * depth))
