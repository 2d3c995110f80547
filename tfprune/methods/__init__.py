"""Methods that prune in training, one file per paper.

Masks, thresholds, gates and bit lengths. In: a kernel or the outputs of a
layer. Out: the effective kernel or outputs that the layer uses.
May import: `sparsity`, `criteria` and below; no other method.
"""

from tfprune.methods.autoprune import AutoPrune
from tfprune.methods.autoprune import AutoPruneChannels
from tfprune.methods.autoprune import freeze_indicators
from tfprune.methods.bitpruning import BitPruning
from tfprune.methods.group_norm import GroupNorm
from tfprune.methods.group_norm import GroupSparsity
from tfprune.methods.hard_concrete import HardConcrete
from tfprune.methods.masked import Masked
from tfprune.methods.masked_channels import MaskedChannels
from tfprune.methods.pcas import PCAS
from tfprune.methods.pcas import AttentionGate
from tfprune.methods.rigl import RigL
from tfprune.methods.slimming import BatchNormScale
from tfprune.methods.slimming import Slimming
from tfprune.methods.soft_threshold import SoftThreshold
from tfprune.methods.soft_threshold import SoftThresholdChannels
from tfprune.sparsity.chain import Chain
from tfprune.sparsity.method import Method
from tfprune.sparsity.method import register

__all__ = [
    "AttentionGate",
    "AutoPrune",
    "AutoPruneChannels",
    "BatchNormScale",
    "BitPruning",
    "Chain",
    "GroupNorm",
    "GroupSparsity",
    "HardConcrete",
    "Masked",
    "MaskedChannels",
    "Method",
    "PCAS",
    "RigL",
    "Slimming",
    "SoftThreshold",
    "SoftThresholdChannels",
    "freeze_indicators",
    "register",
]
