"""Finds the channels that a smaller model has kept, by its weights."""

import numpy as np

from tfprune.graph import channel_graph
from tfprune.graph import values

_GONE, _STAYS, _OPEN = 0, 1, -1


def kept_channels(dense, small):
    """Finds the channels that a smaller model has kept.

    A channel matches if exactly one slice of the dense weights equals the
    smaller model's. If training has changed the weights, only the number of
    channels is known, not which ones they are.

    Args:
        dense: the `ChannelGraph` of a model.
        small: the `ChannelGraph` of that model after `prune` or `strip`.

    Returns:
        `(keep, guessed)`: bool arrays of shape `(dense.size,)`, the kept
        channels, and those of which only the number is known, so that the
        first ones represent them.

    Raises:
        ValueError: If `small` is not `dense` with fewer channels.
    """
    pairs = _pairs(dense, small)
    if not pairs:
        raise _unrelated(dense, small, "they have no layer in common")
    state = np.full(dense.size, _OPEN)
    state[dense.frozen] = _STAYS
    state[_only_in_missing_layers(dense, pairs)] = _GONE
    while any([_match(dense, state, *pair) for pair in pairs]):
        pass
    guessed = _count(state, pairs)
    keep = state != _GONE
    for binding, variable in pairs:
        count = int(keep[binding.labels].sum())
        if count != variable.shape[binding.axis]:
            raise _unrelated(dense, small, f"{binding.layer} differs")
    return keep, guessed


def _pairs(dense, small):
    """The bindings of `dense`, each with the variable in its place."""
    there = {(b.layer, b.attribute): b.variable for b in small.bindings}
    keyed = [(b, there.get((b.layer, b.attribute))) for b in dense.bindings]
    return [
        (b, variable)
        for b, variable in keyed
        if variable is not None and len(variable.shape) == len(b.variable.shape)
    ]


def _only_in_missing_layers(dense, pairs):
    """Channels of blocks that are gone altogether."""
    missing = np.ones(dense.size, bool)
    for binding, _ in pairs:
        missing[binding.labels] = False
    return np.flatnonzero(missing & ~dense.frozen)


def _match(dense, state, binding, variable):
    """Settles the open channels of a binding; says whether it could."""
    labels, axis = binding.labels, binding.axis
    if (state[labels] != _OPEN).all():
        return False
    if variable.shape[axis] == len(labels):
        state[labels] = _STAYS
        return True
    before, after = values.numpy(binding.variable), values.numpy(variable)
    for other in dense.bound(binding.variable):
        if other.axis == axis:
            continue
        if (state[other.labels] == _OPEN).any():
            return False
        stays = np.flatnonzero(state[other.labels] == _STAYS)
        before = np.take(before, stays, other.axis)
    found = _slices_found(before, after, axis)
    if found is None:
        return False
    state[labels] = _GONE
    state[labels[found]] = _STAYS
    return True


def _slices_found(before, after, axis):
    """Where the slices of `after` stand in `before`; `None` if in doubt."""
    before, after = np.moveaxis(before, axis, 0), np.moveaxis(after, axis, 0)
    if before.shape[1:] != after.shape[1:]:
        return None
    places = {}
    for i, part in enumerate(before):
        places.setdefault(part.tobytes(), []).append(i)
    found = [places.get(part.tobytes(), ()) for part in after]
    if any(len(where) != 1 for where in found):
        return None
    return [where[0] for where in found]


def _count(state, pairs):
    """Settles what is open by numbers alone; the mask of those channels."""
    guessed = state == _OPEN
    writers = [p for p in pairs if p[0].role == channel_graph.WRITES]
    for binding, variable in (*writers, *pairs):
        # A flattened map, or a layer with gates, has each channel many times.
        labels, times = np.unique(binding.labels, return_counts=True)
        free = labels[state[labels] == _OPEN]
        if len(free) and (times == times[0]).all():
            count = variable.shape[binding.axis] // int(times[0])
            count -= int((state[labels] == _STAYS).sum())
            state[free] = _GONE
            state[free[: max(count, 0)]] = _STAYS
    return guessed


def _unrelated(dense, small, reason):
    return ValueError(
        "The second model must be the first one with fewer channels, as from "
        f"tfprune.prune or tfprune.strip. Received: {dense.model.name!r} and "
        f"{small.model.name!r}; {reason}. Give the model that was pruned."
    )
