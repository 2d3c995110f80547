"""Sparsity patterns of a kernel: unstructured, block, N:M.

In: weight scores and a sparsity. Out: masks with exact counts.
May import: `core`, numpy.
"""

from tfprune.patterns.weight_patterns import NM
from tfprune.patterns.weight_patterns import Block
from tfprune.patterns.weight_patterns import Unstructured

__all__ = [
    "Block",
    "NM",
    "Unstructured",
]
