"""tfprune makes Keras models smaller, for real."""

from tfprune.alternating import AlternatingModel
from tfprune.alternating import Interleaved
from tfprune.attention import pcas
from tfprune.bit_lengths import finalize
from tfprune.bit_report import bits
from tfprune.callback import PruneOnSchedule
from tfprune.callback import prune_now
from tfprune.chain import Chain
from tfprune.costs import cost
from tfprune.curve_plots import search_plot
from tfprune.curve_plots import sensitivity_plot
from tfprune.curves import sensitivity
from tfprune.distillation import distill
from tfprune.drawings import draw_groups
from tfprune.export.compression import compress_tflite
from tfprune.export.micro import arena_bytes
from tfprune.export.micro import export_micro
from tfprune.export.mixed import export_bits
from tfprune.export.npu import compile_for_npu
from tfprune.export.tflite import export_tflite
from tfprune.file_evaluation import evaluate_tflite
from tfprune.graph.read import channel_graph
from tfprune.graph.rulebook import rule
from tfprune.latency import LatencyTable
from tfprune.latency import latency_table
from tfprune.layer_errors import quantization_error
from tfprune.legacy.loading import load_model
from tfprune.methods.apoz import Apoz
from tfprune.methods.autoprune import AutoPrune
from tfprune.methods.autoprune import AutoPruneChannels
from tfprune.methods.autoprune import freeze_indicators
from tfprune.methods.bitpruning import BitPruning
from tfprune.methods.chance import Chance
from tfprune.methods.fisher import Fisher
from tfprune.methods.geometric_median import geometric_median
from tfprune.methods.group_norm import GroupNorm
from tfprune.methods.group_norm import GroupSparsity
from tfprune.methods.hard_concrete import HardConcrete
from tfprune.methods.hrank import HRank
from tfprune.methods.lamp import Lamp
from tfprune.methods.magnitude import Greedy
from tfprune.methods.magnitude import l1
from tfprune.methods.magnitude import l2
from tfprune.methods.masked import Masked
from tfprune.methods.masked_channels import MaskedChannels
from tfprune.methods.pcas import PCAS
from tfprune.methods.pcas import AttentionGate
from tfprune.methods.rigl import RigL
from tfprune.methods.slimming import BatchNormScale
from tfprune.methods.slimming import Slimming
from tfprune.methods.soft_threshold import SoftThreshold
from tfprune.methods.soft_threshold import SoftThresholdChannels
from tfprune.methods.synflow import SynFlow
from tfprune.methods.taylor import Taylor
from tfprune.methods.thinet import ThiNet
from tfprune.methods.thinet import thinet
from tfprune.methods.wanda import Wanda
from tfprune.micronet_score import micronet
from tfprune.patterns import NM
from tfprune.patterns import Block
from tfprune.patterns import Unstructured
from tfprune.plots import channels_plot
from tfprune.pruning import prune
from tfprune.recalibration import recalibrate
from tfprune.reconstruction import reconstruct
from tfprune.report import compare
from tfprune.report import profile
from tfprune.rewind import Rewound
from tfprune.schedule import Constant
from tfprune.schedule import Cosine
from tfprune.schedule import Exponential
from tfprune.schedule import Iterative
from tfprune.schedule import OneShot
from tfprune.schedule import Polynomial
from tfprune.score import channel_scores
from tfprune.searches.environment import PruningEnvironment
from tfprune.searches.objective import Objective
from tfprune.searches.searching import search
from tfprune.select import Budget
from tfprune.stripping import strip
from tfprune.switch_on import start_value
from tfprune.switch_on import switch_on_epoch
from tfprune.targeting import fit_target
from tfprune.weight_decay import exclude_from_weight_decay
from tfprune.wrapping import convolutions
from tfprune.wrapping import dense
from tfprune.wrapping import kernels
from tfprune.wrapping import normalizations
from tfprune.wrapping import unwrap
from tfprune.wrapping import wrap

__version__ = "0.1.0"
__all__ = [
    "AlternatingModel",
    "Apoz",
    "AttentionGate",
    "AutoPrune",
    "AutoPruneChannels",
    "BatchNormScale",
    "BitPruning",
    "Block",
    "Budget",
    "Chain",
    "Chance",
    "Constant",
    "Cosine",
    "Exponential",
    "Fisher",
    "Greedy",
    "GroupNorm",
    "GroupSparsity",
    "HRank",
    "HardConcrete",
    "Interleaved",
    "Iterative",
    "Lamp",
    "LatencyTable",
    "Masked",
    "MaskedChannels",
    "NM",
    "Objective",
    "OneShot",
    "PCAS",
    "Polynomial",
    "PruneOnSchedule",
    "PruningEnvironment",
    "Rewound",
    "RigL",
    "Slimming",
    "SoftThreshold",
    "SoftThresholdChannels",
    "SynFlow",
    "Taylor",
    "ThiNet",
    "Unstructured",
    "Wanda",
    "arena_bytes",
    "bits",
    "channel_graph",
    "channel_scores",
    "channels_plot",
    "compare",
    "compile_for_npu",
    "compress_tflite",
    "convolutions",
    "cost",
    "dense",
    "distill",
    "draw_groups",
    "evaluate_tflite",
    "exclude_from_weight_decay",
    "export_bits",
    "export_micro",
    "export_tflite",
    "finalize",
    "fit_target",
    "freeze_indicators",
    "geometric_median",
    "kernels",
    "l1",
    "l2",
    "latency_table",
    "load_model",
    "micronet",
    "normalizations",
    "pcas",
    "profile",
    "prune",
    "prune_now",
    "quantization_error",
    "recalibrate",
    "reconstruct",
    "rule",
    "search",
    "search_plot",
    "sensitivity",
    "sensitivity_plot",
    "start_value",
    "strip",
    "switch_on_epoch",
    "thinet",
    "unwrap",
    "wrap",
]
