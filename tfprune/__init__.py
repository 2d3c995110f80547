"""tfprune removes channels from Keras models and exports what remains.

The top level has the functions; their arguments live in subpackages:
`tfprune.criteria.Taylor`, `tfprune.methods.SoftThreshold`,
`tfprune.schedules.Polynomial`.
"""

import sys
import typing

from tfprune.core import lazy
from tfprune.core import packages

if typing.TYPE_CHECKING:
    from tfprune import callbacks
    from tfprune import criteria
    from tfprune import datasets
    from tfprune import deploy
    from tfprune import export
    from tfprune import methods
    from tfprune import patterns
    from tfprune import pipeline
    from tfprune import plots
    from tfprune import recipes
    from tfprune import reports
    from tfprune import schedules
    from tfprune import scoring
    from tfprune import searches
    from tfprune import selection
    from tfprune import surgery
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
    from tfprune.legacy import from_tf_keras
    from tfprune.legacy import load_model
    from tfprune.legacy import quantization_ranges
    from tfprune.pipeline import compress
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

_HOMES = {
    "Budget": "tfprune.selection",
    "PruneOnSchedule": "tfprune.callbacks",
    "callbacks": "tfprune.callbacks",
    "channel_graph": "tfprune.graph.read",
    "compare": "tfprune.reports",
    "compile_for_npu": "tfprune.export",
    "compress": "tfprune.pipeline",
    "compress_tflite": "tfprune.export",
    "convolutions": "tfprune.sparsity",
    "cost": "tfprune.costs",
    "criteria": "tfprune.criteria",
    "datasets": "tfprune.datasets",
    "dense": "tfprune.sparsity",
    "deploy": "tfprune.deploy",
    "distill": "tfprune.training",
    "evaluate_tflite": "tfprune.deploy",
    "export": "tfprune.export",
    "export_bits": "tfprune.export",
    "export_micro": "tfprune.export",
    "export_tflite": "tfprune.export",
    "fit_target": "tfprune.deploy",
    "from_tf_keras": "tfprune.legacy",
    "kernels": "tfprune.sparsity",
    "load_model": "tfprune.legacy",
    "methods": "tfprune.methods",
    "normalizations": "tfprune.sparsity",
    "patterns": "tfprune.patterns",
    "pipeline": "tfprune.pipeline",
    "plots": "tfprune.plots",
    "profile": "tfprune.reports",
    "prune": "tfprune.surgery",
    "quantization_error": "tfprune.deploy",
    "quantization_ranges": "tfprune.legacy",
    "recalibrate": "tfprune.surgery",
    "recipes": "tfprune.recipes",
    "reconstruct": "tfprune.surgery",
    "reports": "tfprune.reports",
    "rule": "tfprune.graph",
    "schedules": "tfprune.schedules",
    "scoring": "tfprune.scoring",
    "search": "tfprune.searches",
    "searches": "tfprune.searches",
    "selection": "tfprune.selection",
    "sensitivity": "tfprune.searches",
    "strip": "tfprune.surgery",
    "surgery": "tfprune.surgery",
    "training": "tfprune.training",
    "unwrap": "tfprune.sparsity",
    "wrap": "tfprune.sparsity",
    "zoo": "tfprune.zoo",
}
_get, __all__ = lazy.attach(__name__, _HOMES)

# Names of other libraries and their replacements.
_TORCH_PRUNING = {
    "BasePruner": "tfprune.prune(model, ratio)",
    "DependencyGraph": "tfprune.channel_graph(model)",
    "GroupNormPruner": "tfprune.prune(model, ratio, 'group_norm')",
    "MagnitudePruner": "tfprune.prune(model, ratio)",
    "MetaPruner": "tfprune.prune(model, ratio)",
}
_TFMOT = {
    "ConstantSparsity": "tfprune.schedules.Constant",
    "PolynomialDecay": "tfprune.schedules.Polynomial",
    "PruneLowMagnitude": "tfprune.wrap(model, tfprune.methods.Masked())",
    "PruningSummaries": "tfprune.callbacks.PruningSummaries",
    "UpdatePruningStep": "tfprune.PruneOnSchedule(schedule) in `callbacks`",
    "cluster_weights": "tfprune.compress_tflite, which clusters weight values",
    "prune_low_magnitude": "tfprune.wrap(model, tfprune.methods.Masked())",
    "prune_scope": "nothing: `import tfprune` is enough to load wrapped models",
    "quantize_model": "tfprune.export_tflite(model, path, quantize='int8')",
    "strip_pruning": "tfprune.strip(model)",
}
_LIBRARIES = {
    "tensorflow-model-optimization": _TFMOT,
    "Torch-Pruning": _TORCH_PRUNING,
}


def __dir__():
    return sorted([*__all__, "__version__"])


def __getattr__(name):
    """Imports a public name lazily, or says where a misplaced one lives."""
    if name in _HOMES:
        return _get(name)
    if name.startswith("__"):
        raise AttributeError(f"module 'tfprune' has no attribute {name!r}")
    for library, names in _LIBRARIES.items():
        if name in names:
            raise AttributeError(
                f"tfprune has no {name!r}; that name belongs to {library}. "
                f"Use {names[name]}."
            )
    for room in __all__:
        if name in getattr(_get(room), "__all__", ()):
            raise AttributeError(
                f"tfprune has no {name!r}. Use tfprune.{room}.{name}."
            )
    raise AttributeError(f"module 'tfprune' has no attribute {name!r}")


# Import every room, so that Keras has all layer classes registered and a plain
# `import tfprune` is enough to load a saved model. The command line skips
# this: its help, lists and flag errors must not wait for a backend.
# While Python looks for what `python -m` names, argv[0] is "-m".
_STARTED = zip(sys.orig_argv, sys.orig_argv[1:], strict=False)
if "tfprune_command" not in sys.modules and not (
    sys.argv[:1] == ["-m"]
    and {("-m", "tfprune"), ("-m", "tfprune.cli")} & {*_STARTED}
):
    packages.require_backend()
    for _name in __all__:
        _get(_name)
