"""The hyperparameters of `compress`."""

import dataclasses
import math
import numbers

import numpy as np

from tfprune.core import function_codes

# Minimum values.
_COUNTS = {
    **{"rounds": 1, "evaluations": 1, "selection": 1, "reconstruction": 0},
    **{"batch_size": 1, "most_epochs": 1, "corrections": 0},
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Hyperparameters of pruning and training.

    `benchmarks/compress.py` compares the defaults with variants on validation
    data: each of those is worse on some task.

    Args:
        rounds: `int`, number of pruning rounds, with training in between;
            with several `points`, at least as many, alike for each point.
        rounds_share: `float`, fraction of all epochs for the rounds before
            the last, or before that of a point.
        criterion: ranks the channels of a group, as for `tfprune.prune`.
        strategy: search strategy for the groups' shares; see
            `tfprune.search`.
        evaluations: `int`, networks that the search tries in each round.
        selection: `int`, number of training samples for the search.
        reconstruction: `int`, number of training samples for refitting
            weights and recalibrating normalization; 0 does neither.
        teacher: `bool`, whether to distill the dense network.
        temperature: `float`, temperature of the distillation.
        label_weight: `float` in [0, 1], weight of the labels' loss beside the
            teacher's.
        learning_rate: `float`, for Adam, with cosine decay to 0.
        batch_size: `int`, used if the data are arrays.
        most_epochs: `int`, maximum epochs per training if time is limited.
        corrections: `int`, how often to prune a file further that does not
            fit.
    """

    rounds: int = 2
    rounds_share: float = 0.25
    criterion: object = "l1"
    strategy: str = "one_plus_one"
    evaluations: int = 24
    selection: int = 512
    reconstruction: int = 256
    teacher: bool = True
    temperature: float = 4.0
    label_weight: float = 0.3
    learning_rate: float = 2e-3
    batch_size: int = 64
    most_epochs: int = 150
    corrections: int = 5

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):  # np.int64(4)
                object.__setattr__(self, field.name, value.item())
        for name, least in _COUNTS.items():
            value = getattr(self, name)
            if not isinstance(value, numbers.Integral) or value < least:
                raise ValueError(
                    f"`{name}` of a recipe must be a whole number, at least "
                    f"{least}. Received: {name}={value!r}."
                )
        for name in ("temperature", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(
                    f"`{name}` of a recipe must be finite and above 0. "
                    f"Received: {name}={getattr(self, name)!r}."
                )
        for name in ("rounds_share", "label_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"`{name}` of a recipe must lie in [0, 1]. Received: "
                    f"{name}={getattr(self, name)!r}."
                )

    def facts(self):
        """The settings as plain data."""
        found = dataclasses.asdict(self)
        if not isinstance(self.criterion, str):
            found["criterion"] = _written(self.criterion)
        return found


def _written(criterion):
    """A criterion as text, without addresses, so that runs can resume."""
    text = repr(criterion)
    return function_codes.told(criterion) if " at 0x" in text else text
