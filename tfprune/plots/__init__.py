"""Plots of models, sensitivity and searches.

In: results of other rooms. Out: matplotlib figures and SVG.
May import: every room but `deploy` and `cli`; matplotlib in functions.
"""

from tfprune.plots.channel_plots import channels_plot
from tfprune.plots.curve_plots import frontier_plot
from tfprune.plots.curve_plots import search_plot
from tfprune.plots.curve_plots import sensitivity_plot
from tfprune.plots.drawings import draw_groups

__all__ = [
    "channels_plot",
    "draw_groups",
    "frontier_plot",
    "search_plot",
    "sensitivity_plot",
]
