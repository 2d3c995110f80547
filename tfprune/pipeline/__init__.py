"""The end-to-end pipeline: finds the best network that fits a board.

In: a trained model, data, a budget. Out: a folder with the smaller model, its
file and all measurements.
May import: every room but `cli`.
"""

from tfprune.pipeline.compressing import compress
from tfprune.pipeline.recipe import Recipe
from tfprune.pipeline.result.compressed import Compressed

__all__ = [
    "Compressed",
    "Recipe",
    "compress",
]
