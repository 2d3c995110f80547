"""Schedules: from an optimizer step to the sparsity at that step.

In: a step. Out: a sparsity, and whether an update is due.
May import: `core`.
"""

from tfprune.schedules.schedule import Constant
from tfprune.schedules.schedule import Cosine
from tfprune.schedules.schedule import Exponential
from tfprune.schedules.schedule import Iterative
from tfprune.schedules.schedule import OneShot
from tfprune.schedules.schedule import Polynomial

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "Iterative",
    "OneShot",
    "Polynomial",
]
