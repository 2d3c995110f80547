"""One function for each kind of layer: what it does to channels.

A rule takes a `Call` and returns the label array of the output (a list of
them for several outputs). On the way it says which variables the channels
pass through (`call.bind`), which numbers in the config count them
(`call.count`) and how many multiply-adds they cost (`call.multiply_adds`).
"""

from tfprune.graph.rulebook import of
from tfprune.graph.rules import attention
from tfprune.graph.rules import channelwise
from tfprune.graph.rules import conv
from tfprune.graph.rules import dense
from tfprune.graph.rules import einsum
from tfprune.graph.rules import elementwise
from tfprune.graph.rules import embedding
from tfprune.graph.rules import merge
from tfprune.graph.rules import norm
from tfprune.graph.rules import pool
from tfprune.graph.rules import preprocessing
from tfprune.graph.rules import recurrent
from tfprune.graph.rules import shape
from tfprune.graph.rules import slicing
from tfprune.graph.rules import wrapper

__all__ = [
    "attention",
    "channelwise",
    "conv",
    "dense",
    "einsum",
    "elementwise",
    "embedding",
    "merge",
    "norm",
    "of",
    "pool",
    "preprocessing",
    "recurrent",
    "shape",
    "slicing",
    "wrapper",
]
