"""What prunes and draws while `model.fit` runs.

In: a wrapped model in training. Out: changed masks, logs, pictures.
May import: `methods`, `schedules` and below.
"""

from tfprune.callbacks.prune_on_schedule import PruneOnSchedule
from tfprune.callbacks.prune_on_schedule import prune_now
from tfprune.callbacks.sparsity_images import SparsityImages

__all__ = [
    "PruneOnSchedule",
    "SparsityImages",
    "prune_now",
]
