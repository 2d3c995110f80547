"""tfprune makes Keras models smaller, for real."""

from tfprune.callbacks.prune_on_schedule import PruneOnSchedule
from tfprune.callbacks.prune_on_schedule import prune_now
from tfprune.costs.counting import cost
from tfprune.criteria.apoz import Apoz
from tfprune.criteria.fisher import Fisher
from tfprune.criteria.geometric_median import geometric_median
from tfprune.criteria.hrank import HRank
from tfprune.criteria.lamp import Lamp
from tfprune.criteria.magnitude import Greedy
from tfprune.criteria.magnitude import l1
from tfprune.criteria.magnitude import l2
from tfprune.criteria.random import Chance
from tfprune.criteria.synflow import SynFlow
from tfprune.criteria.taylor import Taylor
from tfprune.criteria.wanda import Wanda
from tfprune.deploy.file_evaluation import evaluate_tflite
from tfprune.deploy.latency import LatencyTable
from tfprune.deploy.latency import latency_table
from tfprune.deploy.layer_errors import quantization_error
from tfprune.deploy.targeting import fit_target
from tfprune.export.convert.mixed import export_bits
from tfprune.export.convert.tflite import export_tflite
from tfprune.export.micro.compression import compress_tflite
from tfprune.export.micro.firmware_folder import arena_bytes
from tfprune.export.micro.firmware_folder import export_micro
from tfprune.export.micro.npu import compile_for_npu
from tfprune.graph.read import channel_graph
from tfprune.graph.rulebook import rule
from tfprune.legacy.loading import load_model
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
from tfprune.patterns.weight_patterns import NM
from tfprune.patterns.weight_patterns import Block
from tfprune.patterns.weight_patterns import Unstructured
from tfprune.plots.channel_plots import channels_plot
from tfprune.plots.curve_plots import search_plot
from tfprune.plots.curve_plots import sensitivity_plot
from tfprune.plots.drawings import draw_groups
from tfprune.recipes.gated_pruning import pcas
from tfprune.recipes.thinet import ThiNet
from tfprune.recipes.thinet import thinet
from tfprune.reports.bit_report import bits
from tfprune.reports.comparison import compare
from tfprune.reports.comparison import profile
from tfprune.reports.micronet_score import micronet
from tfprune.schedules.schedule import Constant
from tfprune.schedules.schedule import Cosine
from tfprune.schedules.schedule import Exponential
from tfprune.schedules.schedule import Iterative
from tfprune.schedules.schedule import OneShot
from tfprune.schedules.schedule import Polynomial
from tfprune.scoring.score import channel_scores
from tfprune.searches.environment import PruningEnvironment
from tfprune.searches.objective import Objective
from tfprune.searches.searching import search
from tfprune.searches.sensitivity import sensitivity
from tfprune.selection.select import Budget
from tfprune.sparsity.chain import Chain
from tfprune.sparsity.wrapping import convolutions
from tfprune.sparsity.wrapping import dense
from tfprune.sparsity.wrapping import kernels
from tfprune.sparsity.wrapping import normalizations
from tfprune.sparsity.wrapping import unwrap
from tfprune.sparsity.wrapping import wrap
from tfprune.surgery.pruning import prune
from tfprune.surgery.recalibration import recalibrate
from tfprune.surgery.reconstruction import reconstruct
from tfprune.surgery.stripping import strip
from tfprune.training.alternating import AlternatingModel
from tfprune.training.alternating import Interleaved
from tfprune.training.bit_lengths import finalize
from tfprune.training.distillation import distill
from tfprune.training.rewind import Rewound
from tfprune.training.switch_on import start_value
from tfprune.training.switch_on import switch_on_epoch
from tfprune.training.weight_decay import exclude_from_weight_decay

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
