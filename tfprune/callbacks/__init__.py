"""Callbacks that prune, log and back up while `model.fit` runs.

In: a model in training. Out: updated masks, logs, images, backups.
May import: `methods`, `schedules` and below.
"""

from tfprune.callbacks.backup import Backup
from tfprune.callbacks.prune_on_schedule import PruneOnSchedule
from tfprune.callbacks.prune_on_schedule import prune_now
from tfprune.callbacks.pruning_summaries import PruningSummaries

__all__ = [
    "Backup",
    "PruneOnSchedule",
    "PruningSummaries",
    "prune_now",
]
