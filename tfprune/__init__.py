"""tfprune makes Keras models smaller, for real.

The verbs are here; what they take is in the rooms: `tfprune.criteria.Taylor`,
`tfprune.methods.SoftThreshold`, `tfprune.schedules.Polynomial`.
"""

from tfprune import callbacks
from tfprune import criteria
from tfprune import datasets
from tfprune import deploy
from tfprune import export
from tfprune import methods
from tfprune import patterns
from tfprune import plots
from tfprune import recipes
from tfprune import reports
from tfprune import schedules
from tfprune import scoring
from tfprune import searches
from tfprune import training
from tfprune import zoo
from tfprune.callbacks import PruneOnSchedule
from tfprune.costs import cost
from tfprune.deploy import evaluate_tflite
from tfprune.deploy import fit_target
from tfprune.deploy import quantization_error
from tfprune.export import compile_for_npu
from tfprune.export import compress_tflite
from tfprune.export import export_bits
from tfprune.export import export_micro
from tfprune.export import export_tflite
from tfprune.graph import rule
from tfprune.graph.read import channel_graph
from tfprune.legacy import load_model
from tfprune.reports import compare
from tfprune.reports import profile
from tfprune.searches import search
from tfprune.searches import sensitivity
from tfprune.selection import Budget
from tfprune.sparsity import convolutions
from tfprune.sparsity import dense
from tfprune.sparsity import kernels
from tfprune.sparsity import normalizations
from tfprune.sparsity import unwrap
from tfprune.sparsity import wrap
from tfprune.surgery import prune
from tfprune.surgery import recalibrate
from tfprune.surgery import reconstruct
from tfprune.surgery import strip
from tfprune.training import distill

__version__ = "0.1.0"
__all__ = [
    "Budget",
    "PruneOnSchedule",
    "callbacks",
    "channel_graph",
    "compare",
    "compile_for_npu",
    "compress_tflite",
    "convolutions",
    "cost",
    "criteria",
    "datasets",
    "dense",
    "deploy",
    "distill",
    "evaluate_tflite",
    "export",
    "export_bits",
    "export_micro",
    "export_tflite",
    "fit_target",
    "kernels",
    "load_model",
    "methods",
    "normalizations",
    "patterns",
    "plots",
    "profile",
    "prune",
    "quantization_error",
    "recalibrate",
    "recipes",
    "reconstruct",
    "reports",
    "rule",
    "schedules",
    "scoring",
    "search",
    "searches",
    "sensitivity",
    "strip",
    "training",
    "unwrap",
    "wrap",
    "zoo",
]

# The names of tensorflow-model-optimization, and what does their work here.
_ELSEWHERE = {
    "ConstantSparsity": "tfprune.schedules.Constant",
    "PolynomialDecay": "tfprune.schedules.Polynomial",
    "PruneLowMagnitude": "tfprune.wrap(model, tfprune.methods.Masked())",
    "PruningSummaries": "tfprune.callbacks.SparsityImages",
    "UpdatePruningStep": "tfprune.PruneOnSchedule(schedule) in `callbacks`",
    "cluster_weights": "tfprune.compress_tflite, which shares values of a file",
    "prune_low_magnitude": "tfprune.wrap(model, tfprune.methods.Masked())",
    "prune_scope": "nothing: import tfprune, and wrapped models load",
    "quantize_model": "tfprune.export_tflite(model, path, quantize='int8')",
    "strip_pruning": "tfprune.strip(model)",
}


def __dir__():
    return sorted([*__all__, "__version__"])


def __getattr__(name):
    """Says where a name is that is not here."""
    if name in _ELSEWHERE:
        raise AttributeError(
            f"tfprune has no {name!r}, a name of "
            f"tensorflow-model-optimization. Use {_ELSEWHERE[name]}."
        )
    for room in __all__:
        if name in getattr(globals()[room], "__all__", ()):
            raise AttributeError(
                f"tfprune has no {name!r}: it is tfprune.{room}.{name}."
            )
    raise AttributeError(f"module 'tfprune' has no attribute {name!r}")
