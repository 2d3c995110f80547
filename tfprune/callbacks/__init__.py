"""What prunes, draws and backs up while `model.fit` runs.

In: a model in training. Out: changed masks, logs, pictures, backups.
May import: `methods`, `schedules` and below.
"""

from tfprune.callbacks.backup import Backup
from tfprune.callbacks.prune_on_schedule import PruneOnSchedule
from tfprune.callbacks.prune_on_schedule import prune_now
from tfprune.callbacks.sparsity_images import SparsityImages

__all__ = [
    "Backup",
    "PruneOnSchedule",
    "SparsityImages",
    "prune_now",
]
