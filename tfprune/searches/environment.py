"""Pruning as a reinforcement learning environment.

Each step decides about one channel group, each episode about one network. The
environment has the interface of Gymnasium (https://gymnasium.farama.org) but
does not need it; `PruningEnvironment.gymnasium` returns a `gymnasium.Env` for
agents that require one.
"""

import dataclasses

import numpy as np

from tfprune.core import packages
from tfprune.costs import counting
from tfprune.graph import channel_graph
from tfprune.scoring import rankings
from tfprune.searches import amc
from tfprune.selection import budget as budget_lib
from tfprune.selection import candidates as candidates_lib
from tfprune.selection import select

_SMALL = 1e-3  # Lower bound of a share in proportions.


@dataclasses.dataclass(frozen=True)
class Box:
    """The box from `low` to `high`, like `gymnasium.spaces.Box`."""

    low: float
    high: float
    shape: tuple
    dtype: type = np.float32

    @property
    def bounds(self):
        """Returns `(low, high, shape, dtype)`."""
        return self.low, self.high, self.shape, self.dtype

    def contains(self, x):
        """Returns whether an array lies in the space."""
        x = np.asarray(x)
        inside = (self.low <= x).all() and (x <= self.high).all()
        return bool(x.shape == self.shape and inside)


class PruningEnvironment:
    """An environment whose actions are the fractions of each group to keep.

    Groups are visited in the order of the model. An action is clipped to what
    the budget allows if all later groups keep their minimum (AMC, algorithm
    1, counted on actual channels), so no episode ends above the budget. A
    group loses its lowest-scoring channels.

    Args:
        graph: a `ChannelGraph` whose model has inputs of known size.
        scores: float array, shape `(graph.size,)`; the highest are kept.
        evaluate: function from a bool array of shape `(graph.size,)`, the
            channels to keep, to an accuracy in [0, 1].
        budget: a `tfprune.Budget` that no episode exceeds; `None` for no
            limit, with a reward that includes the cost.
        reward: `"error"`, `"flops"` or `"params"`; see `amc.reward`.
        state: `"paper"`, 11 numbers, or `"code"`, the 10 of the published
            code. Each lies in [0, 1].
        lowest: `float` in (0, 1], the minimum fraction of a group to keep.
        refine: `refine` of a `Criterion`, which chooses the channels given how
            many stay; `None` keeps the highest scores.
        **options: `min_channels`, `channel_multiple`, `target`, `skip`, as for
            `tfprune.prune`.

    Attributes:
        groups: the visited groups.
        observation_space, action_space: `Box`es.

    Raises:
        ValueError: If nothing can be removed, an argument is out of range, or
            the budget cannot be met with the minimum of every group.
    """

    def __init__(
        self,
        graph,
        scores,
        evaluate,
        budget=None,
        reward="error",
        state="paper",
        lowest=0.2,
        refine=None,
        **options,
    ):
        channel_graph.check(graph)
        counting.check_sizes(graph)
        amc.check_reward(reward)
        if not 0 < lowest <= 1:
            raise ValueError(
                f"`lowest` must be a fraction in (0, 1]. Received: {lowest=}."
            )
        budget_lib.check(budget)
        if budget is not None:
            budget.check_channels()
            if "channel_multiple" not in options:
                options.setdefault("target", budget.target)
        self.graph, self._evaluate, self._refine = graph, evaluate, refine
        self._reward, self._lowest = reward, lowest
        self._budget, self._options = budget, options
        self._candidates = candidates_lib.Candidates(graph, scores, **options)
        self.groups = self._candidates.groups
        if not self.groups:
            raise ValueError(
                "A model with removable channels is required. "
                f"Received: model={graph.model.name!r}, which has none. See "
                "`tfprune.channel_graph(model)` for the reasons."
            )
        self._sizes = [len(order) for order in self._candidates.order]
        self._meter = (
            counting.Meter(graph) if budget is None else budget.meter(graph)
        )
        self._ceilings = {} if budget is None else budget.ceilings(self._meter)
        self._whole_costs = {
            name: getattr(self._meter, name)() for name in self._ceilings
        }
        self._dense = self._meter.macs()
        rows = {row.layer: row.macs for row in self._meter.by_layer()}
        writers = [group.writers[0] for group in self.groups]
        # Those of attention write several groups, which share their work.
        self._flops = [rows.get(w, 0) / writers.count(w) for w in writers]
        self._state = amc.State(state, graph, self.groups, self._flops)
        self._check_reach(budget)
        self.observation_space = Box(0.0, 1.0, (len(self._state.names),))
        self.action_space = Box(0.0, 1.0, (1,))
        self.reset()

    def reset(self, seed=None, options=None):
        """Starts an episode.

        Returns:
            `(observation, info)`. Nothing is random: `seed` is not used.
        """
        del seed, options
        self._counts = []
        return self._observation(), {}

    def step(self, action):
        """Prunes the next group.

        Args:
            action: `float` in [0, 1], or an array of one: the fraction to
                keep.

        Returns:
            `(observation, reward, terminated, truncated, info)`. The reward
            is 0 before the last group. `info["kept"]` is the fraction that
            the budget allowed; after the last group, `info` also has
            `"keep"`, `"accuracy"` and `"cost"`. If the accuracy is NaN, the
            reward is minus infinity.
        """
        number = len(self._counts)
        if number == len(self.groups):
            raise ValueError(
                "The episode is over. Received: an action for group "
                f"{number + 1} of {number}. Call `reset`."
            )
        size = self._sizes[number]
        wanted = round(float(np.clip(np.ravel(action)[0], 0, 1)) * size)
        self._counts.append(self._allowed(max(wanted, self._least(number))))
        info = {"kept": self._kept(number)}
        done = len(self._counts) == len(self.groups)
        value = 0.0
        if done:
            keep = self._chosen(self._counts)
            cost = self._meter.cost(keep)
            accuracy = self._evaluate(keep)
            value = _comparable(amc.reward(self._reward, accuracy, cost))
            info |= {"keep": keep, "accuracy": accuracy, "cost": cost}
        return self._observation(), value, done, False, info

    def gymnasium(self):
        """Returns this environment as a `gymnasium.Env`.

        Raises:
            ImportError: If `gymnasium` (extra `search`) is missing.

        Example:

        >>> agent = stable_baselines3.DDPG("MlpPolicy", env.gymnasium())
        """
        package = packages.load("gymnasium", "search", "This environment")
        own = self

        class Game(package.Env):
            observation_space = package.spaces.Box(
                *own.observation_space.bounds
            )
            action_space = package.spaces.Box(*own.action_space.bounds)

            def reset(self, *, seed=None, options=None):
                super().reset(seed=seed)
                return own.reset()

            def step(self, action):
                return own.step(action)

        return Game()

    @property
    def has_budget(self):
        """Returns whether a budget bounds the episodes."""
        return bool(self._ceilings)

    def play(self, shares):
        """Plays a whole episode.

        Args:
            shares: list of `float`, the actions.

        Returns:
            `(reward, info)` of the last step.
        """
        self.reset()
        for share in shares:
            _, value, _, _, info = self.step(share)
        return value, info

    def fits(self, shares, part=1.0):
        """Returns whether these shares of all groups meet the budget.

        Args:
            shares: list of `float` in [0, 1], one per group; clipped to the
                minimum from below.
            part: `float` in [0, 1], fraction of the way from the full model
                to the budget that must be reached.
        """
        return self._fits(self._counted(shares), part)

    def accuracy(self, shares):
        """Returns the accuracy with these shares, regardless of the budget.

        Minus infinity if it is NaN.
        """
        keep = self._chosen(self._counted(shares))
        return _comparable(self._evaluate(keep))

    def scaled(self, shares):
        """Scales shares in proportion until they just meet the budget.

        Args:
            shares: list of `float` in [0, 1]. None exceeds 1 afterwards;
                without a budget they are unchanged.
        """
        if not self._ceilings:
            return list(shares)

        def times(factor):
            return [min(1.0, share * factor) for share in shares]

        low, high = 0.0, 1 / max(min(shares), _SMALL)
        for _ in range(30):
            middle = (low + high) / 2
            if self.fits(times(middle)):
                low = middle
            else:
                high = middle
        return times(low)

    def ranked(self):
        """Returns the shares that `tfprune.prune` keeps under the budget."""
        if self._budget is None:
            return [1.0] * len(self.groups)
        keep = select.by_budget(
            self.graph, self._candidates.scores, self._budget, **self._options
        )
        return list(self.shares(keep))

    def shortened(self, shares, number, part):
        """Removes as few channels as possible of one group to fit.

        Args:
            shares: list of `float`.
            number: `int`, index of the group.
            part: as for `fits`. If pruning this group alone cannot reach it,
                the group keeps its minimum.
        """
        counts = self._counted(shares)
        most = counts[number] - self._least(number)

        def fewer(count):
            return [*counts[:number], counts[number] - count] + counts[
                number + 1 :
            ]

        gone = rankings.fewest(lambda n: self._fits(fewer(n), part), most)
        return [
            count / size if size else 1.0
            for count, size in zip(fewer(gone), self._sizes, strict=True)
        ]

    def shares(self, keep):
        """Returns the kept fraction of each group's removable channels."""
        return tuple(
            float(keep[order].mean()) if len(order) else 1.0
            for order in self._candidates.order
        )

    def _chosen(self, counts):
        keep = self._candidates.keep(counts)
        return keep if self._refine is None else self._refine(self.graph, keep)

    def _counted(self, shares):
        return [
            max(round(share * size), self._least(number))
            for number, (share, size) in enumerate(
                zip(shares, self._sizes, strict=True)
            )
        ]

    def _least(self, number):
        return max(1, int(np.ceil(self._lowest * self._sizes[number] - 1e-9)))

    def _keep(self, counts):
        """Channels to keep, with the remaining groups at their minimum."""
        later = range(len(counts), len(self.groups))
        return self._candidates.keep(
            [*counts, *(self._least(number) for number in later)]
        )

    def _fits(self, counts, part=1.0):
        keep = self._keep(counts)
        return all(
            getattr(self._meter, name)(keep)
            <= ceiling + (1 - part) * max(0, self._whole_costs[name] - ceiling)
            for name, ceiling in self._ceilings.items()
        )

    def _allowed(self, wanted):
        """The largest count, at most `wanted`, that meets the budget."""
        if not self._ceilings or self._fits([*self._counts, wanted]):
            return wanted
        least = self._least(len(self._counts))
        return wanted - rankings.fewest(
            lambda fewer: self._fits([*self._counts, wanted - fewer]),
            wanted - least,
        )

    def _check_reach(self, budget):
        if not self._fits([]):
            keep = self._keep([])
            reached = {n: getattr(self._meter, n)(keep) for n in self._ceilings}
            raise ValueError(
                f"The budget must be within reach. Received: {budget} with "
                f"lowest={self._lowest}; with every group at its minimum, the "
                f"model still has {reached}. Raise the limit, or lower "
                "`lowest`."
            )

    def _whole(self):
        """Channels to keep if no later group loses any."""
        later = self._sizes[len(self._counts) :]
        return self._candidates.keep([*self._counts, *later])

    def _kept(self, number):
        """The kept fraction of a group, rounded as in `keep`."""
        return self.shares(self._whole())[number]

    def _observation(self):
        done = len(self._counts)
        number = min(done, len(self.groups) - 1)
        return self._state.observe(
            number,
            reduced=1 - self._meter.macs(self._whole()) / self._dense,
            rest=sum(self._flops[number + 1 :]) / self._dense,
            previous=self._kept(done - 1) if done else 1.0,
        )


def _comparable(value):
    """A NaN as the least number: NaN would stay the best that was seen."""
    return -np.inf if np.isnan(value) else value
