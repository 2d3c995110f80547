"""What a criterion may look at, and how its scores are compared.

In: a `ChannelGraph` and data. Out: gradients, feature maps, one score a
channel. May import: `graph`, `datasets` and below; no paper.
"""

from tfprune.scoring.score import channel_scores
from tfprune.scoring.score import register

__all__ = [
    "channel_scores",
    "register",
]
