"""What a model costs: multiply-adds, parameters, bytes, memory.

In: a `ChannelGraph` and which channels stay. Out: counts.
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
