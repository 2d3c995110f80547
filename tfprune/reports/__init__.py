"""Tables of what a model costs and how well it does.

In: models, and data to evaluate on. Out: records that print as tables.
May import: every room below `deploy` and `plots`.
"""

from tfprune.reports.bit_report import bits
from tfprune.reports.comparison import compare
from tfprune.reports.comparison import profile
from tfprune.reports.micronet_score import MicroNet
from tfprune.reports.micronet_score import micronet

__all__ = [
    "MicroNet",
    "bits",
    "compare",
    "micronet",
    "profile",
]
