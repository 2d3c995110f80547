"""Rankings: the order in which channels of different groups are removed."""

import numpy as np

from tfprune.scoring import normalizers


def order(candidates, ranking, normalizer):
    """Returns the removals of a ranking, step by step.

    Args:
        candidates: a `selection.Candidates`.
        ranking: `"global"` compares scores across groups; `"group"` removes
            the same fraction of each group; `"raw"` is `"global"` without a
            normalizer.
        normalizer: function from the scores of a group to values that are
            comparable across groups.

    Returns:
        `(counts_at, most)`: a function from a step, `int` from 0 to `most`,
        to the list of channel counts that each group then keeps; and `most`.

    Raises:
        ValueError: If the ranking is unknown.
    """
    if ranking not in _RANKINGS:
        raise ValueError(
            f"`ranking` must be one of {sorted(_RANKINGS)}. "
            f"Received: ranking={ranking!r}."
        )
    return _RANKINGS[ranking](candidates, normalizer)


def fewest(fits, most):
    """Finds the least number that fits, by binary search.

    Args:
        fits: function from an `int` to a `bool`; if it is true of a number,
            it is true of all larger ones.
        most: `int` that fits.

    Returns:
        An `int` from 0 to `most`.
    """
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _group(candidates, normalizer):
    """Removes the same fraction per group, in steps fine enough for all."""
    steps = 2 * max((len(o) for o in candidates.order), default=1) ** 2

    def counts_at(step):
        share = step / steps
        return [int(len(o) * (1 - share) + 1e-9) for o in candidates.order]

    return counts_at, steps


def _global(candidates, normalizer):
    scores = [candidates.scores[channels] for channels in candidates.order]
    ranked = candidates.ranked([normalizer(group) for group in scores])
    sizes = np.array([len(o) for o in candidates.order], int)

    def counts_at(removed):
        gone = np.bincount(ranked[:removed], minlength=len(sizes))
        return (sizes - gone).tolist()

    return counts_at, len(ranked)


def _raw(candidates, normalizer):
    return _global(candidates, normalizers.none)


_RANKINGS = {"global": _global, "group": _group, "raw": _raw}
