"""Allocation: how kernels share one sparsity.

A unit is a weight or a block. The functions in `ALLOCATIONS` take the scores
of the units of all kernels, the kernels' shapes and a sparsity, and return
boolean arrays of the units' shapes (`True` keeps a unit). Counts are exact;
ties remove the lowest index first; below a sparsity of 1, every kernel keeps at
least one unit.
"""

import math

import numpy as np


def removed_count(total, sparsity):
    """Units to remove: half rounds up; only sparsity 1 removes all."""
    count = math.floor(sparsity * total + 0.5)
    return min(count, total - 1) if sparsity < 1 and total else count


def keep_highest(scores, removed):
    """Returns a mask that drops exactly the `removed` lowest-scoring entries.

    Args:
        scores: array of any shape.
        removed: `int`, number of entries to remove; ties remove the lowest
            index (in row-major order) first.

    Returns:
        `bool` array of the shape of `scores`.
    """
    flat = np.asarray(scores).reshape(-1)
    keep = np.ones(flat.size, bool)
    if removed >= flat.size:
        keep[:] = False
    elif removed > 0:
        threshold = np.partition(flat, removed - 1)[removed - 1]
        keep[flat < threshold] = False
        ties = np.flatnonzero(flat == threshold)
        below = flat.size - np.count_nonzero(keep)
        keep[ties[: removed - below]] = False
    return keep.reshape(np.shape(scores))


def per_layer(units, shapes, sparsity):
    """Gives every kernel the same sparsity."""
    return [keep_highest(u, removed_count(u.size, sparsity)) for u in units]


def over_all(units, shapes, sparsity):
    """Ranks all kernels' units together; each kernel keeps its best unit."""
    flat = np.concatenate([np.asarray(u, float).reshape(-1) for u in units])
    ends = np.cumsum([u.size for u in units])
    removed = removed_count(flat.size, sparsity)
    if sparsity < 1:
        removed = min(removed, flat.size - len(units))
        for u, end in zip(units, ends, strict=True):
            flat[end - u.size + _last_argmax(u)] = np.inf
    kept = np.split(keep_highest(flat, removed), ends[:-1])
    return [k.reshape(u.shape) for k, u in zip(kept, units, strict=True)]


def _last_argmax(array):
    flat = array.reshape(-1)
    return flat.size - 1 - int(np.argmax(flat[::-1]))


def by_erk(units, shapes, sparsity):
    """Keeps small kernels denser; see `erk_densities`."""
    sizes = [u.size for u in units]
    densities = erk_densities(shapes, sparsity, sizes)
    total = sum(sizes) - removed_count(sum(sizes), sparsity)
    if sparsity < 1:
        total = max(total, len(units))
    kept = _rounded_to_total(densities * sizes, total)
    return [
        keep_highest(u, u.size - k) for u, k in zip(units, kept, strict=True)
    ]


def erk_densities(shapes, sparsity, sizes=None):
    """Computes Erdos-Renyi-Kernel densities: scaled `sum(shape) / prod(shape)`.

    Kernels whose density would exceed 1 stay dense, and the others are rescaled
    until the total is met.

    Args:
        shapes: list of kernel shapes.
        sparsity: `float`, the fraction of all weights to remove.
        sizes: list of `int`s, units per kernel; defaults to the weights.

    Returns:
        Array of densities, one per kernel.

    Reference:

    - Evci et al., "Rigging the lottery: making all tickets winners", 2020,
      https://arxiv.org/abs/1911.11134
    """
    weights = [math.prod(shape) for shape in shapes]
    sizes = np.array(weights if sizes is None else sizes, float)
    raw = np.array(
        [sum(s) / n for s, n in zip(shapes, weights, strict=True)], float
    )
    dense = np.zeros(len(raw), bool)
    budget = (1 - sparsity) * sizes.sum()
    while not dense.all():
        scale = (budget - sizes[dense].sum()) / (raw * sizes)[~dense].sum()
        over = ~dense & (scale * raw > 1)
        if not over.any():
            return np.where(dense, 1.0, np.maximum(scale, 0) * raw)
        dense |= over
    return np.ones(len(raw))


def _rounded_to_total(counts, total):
    """Rounds `counts` to integers that add up to `total`.

    By less than 1, unless a count of 0 takes a unit from the largest.
    """
    floors = np.floor(counts + 1e-9).astype(int)
    missing = total - floors.sum()
    largest = np.argsort(floors - counts, kind="stable")
    floors[largest[:missing]] += 1
    while total >= floors.size and not floors.all():
        floors[np.argmax(floors)] -= 1
        floors[np.argmin(floors)] += 1
    return floors


ALLOCATIONS = {
    "layer": per_layer,
    "global": over_all,
    "erk": by_erk,
}


def check(allocation):
    """Raises a `ValueError` for an unknown allocation."""
    if allocation not in ALLOCATIONS:
        raise ValueError(
            f"`allocation` must be one of {', '.join(ALLOCATIONS)}. "
            f"Received: allocation={allocation!r}"
        )
