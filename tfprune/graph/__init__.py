"""Channels of a model: reads it, labels its channels, rebuilds it smaller.

In: a model. Out: a `ChannelGraph`, and a model without some channels.
May import: `core`, numpy and the config of the model.
"""

from tfprune.graph.channel_graph import ChannelGraph
from tfprune.graph.rulebook import rule

__all__ = [
    "ChannelGraph",
    "rule",
]
