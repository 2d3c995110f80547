"""RigL: trains sparse and regrows weights where the gradient is large.

Evci, Gale, Menick, Castro and Elsen, "Rigging the lottery: making all tickets
winners", 2020, https://arxiv.org/abs/1911.11134. At every update, in a layer
that may have n active weights,

    the n - k active weights with the largest |w| stay,
    the k others with the largest |dL/dw| become active, at w = 0,

where dL/dw is the gradient of the last batch, also of masked weights, and
k = drop * n, or more if fewer than n - k were active. Before the first batch,
all gradients are zero: the n weights with the largest |w| stay. With a rising
sparsity schedule this is gradual pruning with regrowth; with `Constant` it is
the paper's sparse training.

Three things differ from the authors' code: `drop` stays the same, as by its
default, where the paper lets it fall to 0 along half a cosine until the last
update; an update does not skip the optimizer's step; and ties are broken by
index instead of noise. Frozen weights keep their mask and do not count.
"""

import dataclasses

import keras
import numpy as np

from tfprune.core import records
from tfprune.graph import compile_state
from tfprune.patterns import allocation as allocation_lib
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import ops


@method_lib.register("rigl")
@dataclasses.dataclass(frozen=True)
class RigL(method_lib.Method):
    """Drops weights by magnitude and grows others by gradient.

    Weights of frozen layers stay as they are; the sparsity is that of the
    others. Optimizers that accumulate gradients, or average the weights
    (`use_ema`), are refused: they do not hand over the gradient of the batch.

    Args:
        drop: `float`, fraction of a layer's active weights that an update
            replaces.
        allocation: how the sparsity is distributed over layers: `"erk"`,
            `"layer"` or `"global"`; see `patterns.Unstructured`.

    Example:

    >>> wrapped = tfprune.wrap(model, RigL())
    >>> every = tfprune.schedules.Constant(0.9, end=25_000, frequency=100)
    >>> wrapped.fit(data, callbacks=[tfprune.PruneOnSchedule(every)], ...)
    """

    drop: float = 0.3
    allocation: str = "erk"

    def __post_init__(self):
        allocation_lib.check(self.allocation)
        records.check_number(self, "drop", "[0, 1)")

    def build(self, slot):
        slot.add_mask()
        # Never trained: receives the dense gradient of every step.
        gradient = slot.add_weight("gradient", slot.shape, initializer="zeros")
        gradient.overwrite_with_gradient = True

    def prepare(self, model, slots):
        """Masks weights that are zero, until the first scheduled update."""
        for slot in slots:
            slot.mask_zeros()

    def effective_kernel(self, slot, kernel, training=False):
        masked = ops.masked(kernel, slot["mask"].value)
        if not training:
            return masked
        gradient = keras.ops.cast(slot["gradient"].value, kernel.dtype)
        return masked + ops.straight_through(
            keras.ops.zeros_like(kernel), gradient
        )

    def check_training(self, model, slots, sparsity, budget=None, data=None):
        _trained(slots)
        for optimizer in compile_state.parts(model.optimizer):
            for name in ("gradient_accumulation_steps", "use_ema"):
                if getattr(optimizer, name):
                    raise ValueError(
                        "RigL needs an optimizer that takes the gradient of "
                        f"each batch as it is. Received: {name}="
                        f"{getattr(optimizer, name)!r} of optimizer="
                        f"{optimizer.name!r}. Compile the model with an "
                        "optimizer without it."
                    )

    def update(self, model, slots, sparsity, budget=None, data=None):
        slots = _trained(slots)
        weights = [_numpy(slot.kernel) for slot in slots]
        masks = [_numpy(slot["mask"]) for slot in slots]
        shares = allocation_lib.ALLOCATIONS[self.allocation](
            _ranked(weights, masks), [w.shape for w in weights], sparsity
        )
        for slot, weight, before, share in zip(
            slots, weights, masks, shares, strict=True
        ):
            after = exchanged(
                weight,
                _numpy(slot["gradient"]),
                before,
                np.count_nonzero(share),
                self.drop,
            )
            _start_at_zero(model, slot, after & ~before)
            slot["mask"].assign(after)


def exchanged(weights, gradients, mask, count, drop):
    """Returns the next mask of a layer.

    Args:
        weights, gradients: float arrays of the kernel's shape. Where all
            gradients are zero, weights that are active are grown by size.
        mask: `bool` array, the active weights.
        count: `int`, number of active weights afterwards.
        drop: `float`, fraction of them that is newly grown; more if fewer
            than the others are active.

    Returns:
        `bool` array with `count` true entries.
    """
    missing = count - np.count_nonzero(mask)
    grown = max(min(int(drop * count), mask.size - count), missing)
    strength = np.where(mask, np.abs(weights), -1.0)
    stay = allocation_lib.keep_highest(strength, mask.size - (count - grown))
    pull = gradients if np.any(gradients) else np.where(mask, weights, 0.0)
    pull = np.where(stay, -1.0, np.abs(pull))
    return stay | allocation_lib.keep_highest(pull, mask.size - grown)


def _ranked(weights, masks):
    """Scores by size, those of masked weights below those of all others."""
    sizes = [np.abs(weight) for weight in weights]
    above = 1.0 + max(float(size.max()) for size in sizes)
    return [
        np.where(mask, size, size - above)
        for size, mask in zip(sizes, masks, strict=True)
    ]


def _trained(slots):
    """The slots that are not frozen: only these have gradients."""
    found = [slot for slot in slots if slot.kernel.trainable]
    if not found:
        raise ValueError(
            "RigL needs a layer that is trained. Received: "
            f"{', '.join(slot.path for slot in slots)}, which are all frozen. "
            "Set `trainable` of a wrapped layer."
        )
    return found


def _start_at_zero(model, slot, grown):
    """Zeros newly grown weights and their optimizer state."""
    for variable in [slot.kernel, *_kept_by_optimizer(model, slot.kernel)]:
        variable.assign(np.where(grown, 0, _numpy(variable)))


def _kept_by_optimizer(model, kernel):
    """The optimizer's variables of a kernel, such as its momentum."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not optimizer.built:
        return []
    # Keras names optimizer variables by the path of the variable they track;
    # equal names come in the order of these variables.
    same = [v for v in model.trainable_variables if v.path == kernel.path]
    (index,) = [i for i, v in enumerate(same) if v is kernel]
    prefix = kernel.path.replace("/", "_") + "_"
    by_name = {}
    for variable in optimizer.variables:
        if variable.name.startswith(prefix) and variable.shape == kernel.shape:
            by_name.setdefault(variable.name, []).append(variable)
    return [variables[index] for variables in by_name.values()]


def _numpy(variable):
    return keras.ops.convert_to_numpy(variable)
