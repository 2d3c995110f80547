"""Recipes: the stages around `fit` that a paper prescribes.

In: a model and data. Out: a pruned, trained model.
May import: `training`, `surgery` and below.
"""

from tfprune.recipes.gated_pruning import pcas
from tfprune.recipes.published_budgets import LI_ET_AL
from tfprune.recipes.thinet_layerwise import ThiNet
from tfprune.recipes.thinet_layerwise import thinet

__all__ = [
    "LI_ET_AL",
    "ThiNet",
    "pcas",
    "thinet",
]
