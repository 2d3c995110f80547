"""tfprune makes Keras models smaller, for real."""

from tfprune.costs import cost
from tfprune.curve_plots import sensitivity_plot
from tfprune.curves import sensitivity
from tfprune.export.micro import arena_bytes
from tfprune.export.micro import export_micro
from tfprune.export.tflite import export_tflite
from tfprune.graph.read import channel_graph
from tfprune.graph.rulebook import rule
from tfprune.methods.apoz import Apoz
from tfprune.methods.chance import Chance
from tfprune.methods.fisher import Fisher
from tfprune.methods.geometric_median import geometric_median
from tfprune.methods.group_norm import GroupNorm
from tfprune.methods.hrank import HRank
from tfprune.methods.lamp import Lamp
from tfprune.methods.magnitude import Greedy
from tfprune.methods.magnitude import l1
from tfprune.methods.magnitude import l2
from tfprune.methods.slimming import BatchNormScale
from tfprune.methods.taylor import Taylor
from tfprune.methods.thinet import ThiNet
from tfprune.methods.thinet import thinet
from tfprune.methods.wanda import Wanda
from tfprune.plots import channels_plot
from tfprune.pruning import prune
from tfprune.recalibration import recalibrate
from tfprune.reconstruction import reconstruct
from tfprune.report import compare
from tfprune.report import profile
from tfprune.score import channel_scores
from tfprune.select import Budget
from tfprune.stripping import strip

__version__ = "0.1.0"
__all__ = [
    "Apoz",
    "BatchNormScale",
    "Budget",
    "Chance",
    "Fisher",
    "Greedy",
    "GroupNorm",
    "HRank",
    "Lamp",
    "Taylor",
    "ThiNet",
    "Wanda",
    "arena_bytes",
    "channel_graph",
    "channel_scores",
    "channels_plot",
    "compare",
    "cost",
    "export_micro",
    "export_tflite",
    "geometric_median",
    "l1",
    "l2",
    "profile",
    "prune",
    "recalibrate",
    "reconstruct",
    "rule",
    "sensitivity",
    "sensitivity_plot",
    "strip",
    "thinet",
]
