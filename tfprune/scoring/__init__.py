"""What criteria compute scores from, and how scores are compared.

In: a `ChannelGraph` and data. Out: gradients, feature maps, one score per
channel. May import: `graph`, `datasets` and below; no criterion.
"""

from tfprune.scoring.criterion import Criterion
from tfprune.scoring.criterion import register
from tfprune.scoring.score import channel_scores

__all__ = [
    "Criterion",
    "channel_scores",
    "register",
]
