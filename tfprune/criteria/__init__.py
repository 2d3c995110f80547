"""Criteria that rank channels or weights, one file per paper.

In: a `ChannelGraph` and data, or a kernel. Out: scores; the highest are kept.
May import: `scoring`, `selection` and below; no other criterion.
"""

from tfprune.criteria.apoz import Apoz
from tfprune.criteria.fisher import Fisher
from tfprune.criteria.fpgm import geometric_median
from tfprune.criteria.hrank import HRank
from tfprune.criteria.lamp import Lamp
from tfprune.criteria.magnitude import Greedy
from tfprune.criteria.magnitude import l1
from tfprune.criteria.magnitude import l2
from tfprune.criteria.random import Chance
from tfprune.criteria.synflow import SynFlow
from tfprune.criteria.taylor import Taylor
from tfprune.criteria.wanda import Wanda
from tfprune.scoring.criterion import Criterion

__all__ = [
    "Apoz",
    "Chance",
    "Criterion",
    "Fisher",
    "Greedy",
    "HRank",
    "Lamp",
    "SynFlow",
    "Taylor",
    "Wanda",
    "geometric_median",
    "l1",
    "l2",
]
