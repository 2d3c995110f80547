"""Makes models smaller: prune, strip, fold, cut depth, refit, recalibrate.

In: a model. Out: a plain Keras model with fewer channels.
May import: `selection`, `sparsity`, `criteria` and below.
"""

from tfprune.surgery.pruning import prune
from tfprune.surgery.recalibration import recalibrate
from tfprune.surgery.reconstruction import reconstruct
from tfprune.surgery.shrinking import apply
from tfprune.surgery.shrinking import masked
from tfprune.surgery.stripping import removable
from tfprune.surgery.stripping import strip

__all__ = [
    "apply",
    "masked",
    "prune",
    "recalibrate",
    "reconstruct",
    "removable",
    "strip",
]
