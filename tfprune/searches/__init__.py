"""Searches over networks: sensitivity, environment, objective, strategies.

In: a model, data and a budget. Out: the best network and all trials.
May import: `surgery` and below.
"""

from tfprune.searches.curves import sensitivity
from tfprune.searches.environment import PruningEnvironment
from tfprune.searches.objective import Objective
from tfprune.searches.searching import search

__all__ = [
    "Objective",
    "PruningEnvironment",
    "search",
    "sensitivity",
]
