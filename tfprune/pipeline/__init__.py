"""The whole way: a model, data and a board in, the best network that fits out.

In: a trained model, data, what it may take. Out: a folder with the smaller
model, its file and what was measured.
May import: every room but `cli`.
"""

from tfprune.pipeline.compressed import Compressed
from tfprune.pipeline.compressing import compress
from tfprune.pipeline.recipe import Recipe

__all__ = [
    "Compressed",
    "Recipe",
    "compress",
]
