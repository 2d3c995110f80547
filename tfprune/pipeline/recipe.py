"""How the network is made smaller and trained: the numbers of it."""

import dataclasses
import math
import numbers

# The least of each.
_COUNTS = {
    **{"rounds": 1, "evaluations": 1, "selection": 1, "reconstruction": 0},
    **{"batch_size": 1, "most_epochs": 1, "corrections": 0},
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings of one way to the budget.

    The defaults are not chosen by measurement yet; `benchmarks/compress.py`
    compares them with others.

    Args:
        rounds: `int`, steps in which channels go, with training between.
        rounds_share: `float`, of all epochs, for the rounds before the last.
        criterion: what ranks the channels of a group, as for `tfprune.prune`.
        strategy: of `tfprune.search`, how shares of the groups are found.
        evaluations: `int`, networks that the search tries in each round.
        selection: `int`, training samples that the search looks at.
        reconstruction: `int`, training samples that weights are fitted on,
            and by which normalization is measured anew; 0 does neither.
        teacher: `bool`, whether the dense network teaches the small one.
        temperature: `float`, of the teacher's classes.
        label_weight: `float` in [0, 1], of the labels beside the teacher.
        learning_rate: `float`, of Adam, falling to 0 as half a cosine.
        batch_size: `int`, for arrays.
        most_epochs: `int`, of one training within a limit on time.
        corrections: `int`, how often a file that does not fit is cut again.
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
            found["criterion"] = repr(self.criterion)
        return found
