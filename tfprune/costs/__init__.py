"""Costs of a model: multiply-adds, parameters, bytes, memory.

In: a `ChannelGraph` and the channels to keep. Out: counts.
May import: `graph`, `core`.
"""

from tfprune.costs.counting import Cost
from tfprune.costs.counting import Meter
from tfprune.costs.counting import cost

__all__ = [
    "Cost",
    "Meter",
    "cost",
]
