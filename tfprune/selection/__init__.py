"""Selects the channels to keep, from scores and a budget.

In: a `ChannelGraph`, one score per channel, a `Budget`. Out: a `Cut` with the
channels to keep. May import: `scoring`, `costs` and below.
"""

from tfprune.selection.budget import Budget
from tfprune.selection.cut import Cut
from tfprune.selection.cut import choose
from tfprune.selection.rounding import TARGETS
from tfprune.selection.select import by_budget
from tfprune.selection.select import by_ratio

__all__ = [
    "Budget",
    "Cut",
    "TARGETS",
    "by_budget",
    "by_ratio",
    "choose",
]
