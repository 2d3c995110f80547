"""tfprune makes Keras models smaller, for real."""

from tfprune.costs import cost
from tfprune.graph.read import channel_graph
from tfprune.graph.rulebook import rule
from tfprune.methods.magnitude import l1
from tfprune.methods.magnitude import l2
from tfprune.plots import channels_plot
from tfprune.pruning import prune
from tfprune.report import compare
from tfprune.report import profile
from tfprune.score import channel_scores
from tfprune.select import Budget
from tfprune.stripping import strip

__version__ = "0.1.0"
__all__ = [
    "Budget",
    "channel_graph",
    "channel_scores",
    "channels_plot",
    "compare",
    "cost",
    "l1",
    "l2",
    "profile",
    "prune",
    "rule",
    "strip",
]
