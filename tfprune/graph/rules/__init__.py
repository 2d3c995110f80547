"""One function for each type of layer: its rule for channels.

A rule takes a `Call` and returns the label array of the output, or a list of
label arrays if the layer has several outputs. On the way it records which
variables the channels index (`call.bind`), which config entries count them
(`call.count`), how many multiply-adds they cost (`call.multiply_adds`) and what
the layer becomes in a .tflite file of integers (`call.file.op`).
"""

from tfprune.graph.rulebook import of
from tfprune.graph.rules import attention
from tfprune.graph.rules import channelwise
from tfprune.graph.rules import conv
from tfprune.graph.rules import dense
from tfprune.graph.rules import einsum
from tfprune.graph.rules import elementwise
from tfprune.graph.rules import embedding
from tfprune.graph.rules import layer_wrappers
from tfprune.graph.rules import merge
from tfprune.graph.rules import norm
from tfprune.graph.rules import pool
from tfprune.graph.rules import preprocessing
from tfprune.graph.rules import products
from tfprune.graph.rules import recurrent
from tfprune.graph.rules import reductions
from tfprune.graph.rules import shape
from tfprune.graph.rules import slicing

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
    "products",
    "recurrent",
    "reductions",
    "shape",
    "slicing",
    "layer_wrappers",
]
