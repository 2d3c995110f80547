"""From scores and a budget to the channels that stay.

In: a `ChannelGraph`, one score a channel, a `Budget`. Out: one boolean a
channel. May import: `scoring`, `costs` and below.
"""

from tfprune.selection.rounding import TARGETS
from tfprune.selection.select import Budget
from tfprune.selection.select import by_budget
from tfprune.selection.select import by_ratio

__all__ = [
    "Budget",
    "TARGETS",
    "by_budget",
    "by_ratio",
]
