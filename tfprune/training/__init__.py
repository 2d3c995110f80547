"""Training tools: distillation, alternating steps, rewinding, bit lengths.

In: a model, plain or wrapped. Out: a model or an optimizer for `fit`.
May import: `methods` and below.
"""

from tfprune.training.alternating import AlternatingModel
from tfprune.training.alternating import Interleaved
from tfprune.training.bit_lengths import finalize
from tfprune.training.distillation import Distiller
from tfprune.training.distillation import distill
from tfprune.training.fused_normalization import fast
from tfprune.training.fused_normalization import plain
from tfprune.training.reused_memory import reuse_memory
from tfprune.training.rewind import Rewound
from tfprune.training.switch_on import start_value
from tfprune.training.switch_on import switch_on_epoch
from tfprune.training.weight_decay import exclude_from_weight_decay

__all__ = [
    "AlternatingModel",
    "Distiller",
    "Interleaved",
    "Rewound",
    "distill",
    "exclude_from_weight_decay",
    "fast",
    "finalize",
    "plain",
    "reuse_memory",
    "start_value",
    "switch_on_epoch",
]
