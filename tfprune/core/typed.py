"""Type aliases for the annotations of public functions."""

import os
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

Path: TypeAlias = str | os.PathLike[str]
# Arrays, `(x, y)`, a data set or batches of them: see `tfprune.datasets`.
Data: TypeAlias = Any
# Sizes of one input without the batch, or a list of them for several inputs.
Shapes: TypeAlias = Sequence[int] | Sequence[Sequence[int]]
# A float is the fraction to keep at most, an int an absolute maximum.
Limit: TypeAlias = int | float | None
# Fractions to remove: of every group, or by name patterns.
Ratios: TypeAlias = float | Mapping[str, float]
# A layer's or a group's names or patterns.
Names: TypeAlias = str | Sequence[str]
# Which layers are wrapped: a function from a layer to a boolean.
Where: TypeAlias = Callable[[Any], bool]
