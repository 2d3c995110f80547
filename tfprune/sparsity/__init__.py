"""Pruning inside a layer: the wrapper and the base class of methods.

In: a model and a method. Out: the model with `PruningWrapper`s, and back.
May import: `graph`, `patterns` and below; no paper.
"""

from tfprune.sparsity.chain import Chain
from tfprune.sparsity.method import Method
from tfprune.sparsity.wrapper import PruningWrapper
from tfprune.sparsity.wrapping import convolutions
from tfprune.sparsity.wrapping import dense
from tfprune.sparsity.wrapping import kernels
from tfprune.sparsity.wrapping import normalizations
from tfprune.sparsity.wrapping import unwrap
from tfprune.sparsity.wrapping import wrap

__all__ = [
    "Chain",
    "Method",
    "PruningWrapper",
    "convolutions",
    "dense",
    "kernels",
    "normalizations",
    "unwrap",
    "wrap",
]


def __getattr__(name):
    """Says where the names of `tfmot.sparsity.keras` are."""
    if name == "keras":
        raise AttributeError(
            "tfprune has no 'sparsity.keras'; that module belongs to "
            "tensorflow-model-optimization. Ask tfprune itself for one of its "
            "names: the error tells what to use."
        )
    raise AttributeError(f"module 'tfprune.sparsity' has no attribute {name!r}")
