"""Patterns of zeros in a kernel: single weights, blocks, N of M.

In: scores of weights and a sparsity. Out: masks with exact counts.
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
