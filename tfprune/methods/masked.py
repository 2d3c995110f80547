"""Weight masks: by magnitude, in any pattern, on a schedule.

Until the schedule ends, the masks are recomputed from all trained weights, so a
masked weight can come back. A weight that is already zero when the model is
wrapped counts as pruned before and stays zero.

References:

- Han et al., "Learning both weights and connections for efficient neural
  networks", 2015, https://arxiv.org/abs/1506.02626
- Zhu and Gupta, "To prune, or not to prune", 2017,
  https://arxiv.org/abs/1710.01878
"""

import dataclasses

import keras
import numpy as np

from tfprune.core import records
from tfprune.core import registry
from tfprune.patterns import weight_patterns
from tfprune.scoring import normalizers
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import ops

CRITERIA = registry.Registry("criterion of weights")
GRADIENTS = ("masked", "straight_through")


@CRITERIA.register("magnitude", "l1")
def magnitude(weights):
    """`|w|`."""
    return np.abs(weights)


@CRITERIA.register("lamp")
def lamp(weights):
    """Returns `w^2` over the sum of all squares in the layer no smaller.

    Intended for a global ranking over all layers (`Unstructured("global")`).

    Reference:

    - Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning",
      2021, https://arxiv.org/abs/2010.07611
    """
    squares = np.square(weights, dtype=float)
    return normalizers.lamp(squares.reshape(-1)).reshape(squares.shape)


@method_lib.register("masked")
@dataclasses.dataclass(frozen=True)
class Masked(method_lib.Method):
    """Multiplies each weight by a boolean mask.

    Args:
        pattern: a `patterns.Pattern`, or its name.
        criterion: name of a weight criterion: `"magnitude"`, `"lamp"`, or one
            registered in `CRITERIA`.
        gradient: gradient of masked weights: `"masked"`, none (only weight
            decay and momentum change them), or `"straight_through"`, as if
            they were not masked.
        decay: `float`, adds `decay / 2 * w^2` of the masked weights to the
            loss. With `gradient="straight_through"`, an `NM` pattern and
            `decay=2e-4` this is SR-STE, N:M training from scratch.

    Example:

    >>> method = Masked(patterns.NM(2, 4))
    >>> wrapped = wrap(model, method)

    Reference (SR-STE):

    - Zhou et al., "Learning N:M fine-grained structured sparse neural
      networks from scratch", 2021, https://arxiv.org/abs/2102.04010
    """

    pattern: weight_patterns.Pattern | str = weight_patterns.Unstructured()
    criterion: str = "magnitude"
    gradient: str = "masked"
    decay: float = 0.0

    def __post_init__(self):
        pattern = records.deserialize(self.pattern, weight_patterns.PATTERNS)
        object.__setattr__(self, "pattern", pattern)
        CRITERIA.get(self.criterion)
        if self.gradient not in GRADIENTS:
            raise ValueError(
                f"`gradient` must be one of {', '.join(GRADIENTS)}. "
                f"Received: gradient={self.gradient!r}"
            )
        records.check_number(self, "decay", "[0, inf)")

    def build(self, slot):
        slot.add_mask()

    def prepare(self, model, slots):
        """Marks weights that are zero, which stay zero."""
        for slot in slots:
            slot.mask_zeros()

    def effective_kernel(self, slot, kernel, training=False):
        return ops.masked(kernel, slot["mask"].value, self.gradient)

    def penalty(self, slot):
        if not self.decay:
            return None
        # Squares of small weights are zero in half precision.
        dtype = keras.backend.result_type(slot.kernel.dtype, "float32")
        masked = keras.ops.cast(slot.kernel, dtype) * keras.ops.cast(
            keras.ops.logical_not(slot["mask"]), dtype
        )
        return self.decay / 2 * keras.ops.sum(keras.ops.square(masked))

    def scores(self, slot):
        weights = keras.ops.convert_to_numpy(slot.kernel)
        return CRITERIA.get(self.criterion)(weights)

    def update(self, model, slots, sparsity, budget=None, data=None):
        masks = self.pattern.masks(
            [self.scores(slot) for slot in slots],
            sparsity,
            [slot.axes for slot in slots],
        )
        for slot, mask in zip(slots, masks, strict=True):
            slot["mask"].assign(mask & slot.nonzero)

    def check(self, sparsity, budget=None):
        self.pattern.check(sparsity)
        if budget is not None:
            raise ValueError(
                "A budget needs a method that removes channels. Received: "
                f"budget={budget}, which zeroed weights cannot meet. "
                "Use `MaskedChannels`."
            )

    def get_config(self):
        pattern = records.serialize(self.pattern, weight_patterns.PATTERNS)
        return {**super().get_config(), "pattern": pattern}
