"""Tables of what a model costs and how well it does.

In: models, and data to evaluate on. Out: records that print as tables.
May import: every room below `deploy` and `plots`.
"""

from tfprune.reports.answers import Confusion
from tfprune.reports.answers import Errors
from tfprune.reports.answers import outcome
from tfprune.reports.answers import outcomes
from tfprune.reports.bit_report import bits
from tfprune.reports.comparison import compare
from tfprune.reports.comparison import profile
from tfprune.reports.html.page import Frontier
from tfprune.reports.html.page import FrontierPoint
from tfprune.reports.html.page import Page
from tfprune.reports.html.page import Stage
from tfprune.reports.micronet_score import MicroNet
from tfprune.reports.micronet_score import micronet
from tfprune.reports.quantities import Quantity
from tfprune.reports.strips import channel_strips

__all__ = [
    "Confusion",
    "Errors",
    "Frontier",
    "FrontierPoint",
    "MicroNet",
    "Page",
    "Quantity",
    "Stage",
    "bits",
    "channel_strips",
    "compare",
    "micronet",
    "outcome",
    "outcomes",
    "profile",
]
