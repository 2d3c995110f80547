"""Removes channels at the memory peak, and nowhere else.

The step with the most live memory sets a model's RAM. Removing a channel that
is not alive at that step saves nothing. So the lowest-scoring channels that are
alive at the peak are removed until the step fits, then those at the next peak.
"""

import math

import numpy as np

from tfprune.costs import memory
from tfprune.scoring import rankings


def cut(candidates, counts, counts_at, most, usage, limit):
    """Reduces the channels of groups alive at steps that exceed a limit.

    Args:
        candidates: `candidates_lib.Candidates`.
        counts: list of `int`, the number of channels each group keeps so far.
        counts_at: function from a number of removals, 0 to `most`, in ranked
            order, to the number of channels that each group then keeps.
        most: `int`, the maximum number of removals.
        usage: a `memory.Plan` or an `int8_file.Int8File`: has `buffers` and
            `loads(keep)`, the bytes at each step.
        limit: maximum bytes at every step.

    Returns:
        A list of `int`, none above its entry in `counts`. If removing the
        channels alive at a step cannot make it fit, they are kept.
    """
    given_up = set()
    while True:
        keep = candidates.keep(counts)
        loads = usage.loads(keep)
        over = [s for s in np.flatnonzero(loads > limit) if s not in given_up]
        if not over:
            return counts
        # Of steps that reach equally high, the others have a gap.
        live = {s: _live_bytes(usage, s, keep) for s in over}
        step = max(over, key=lambda s: (loads[s], live[s]))
        alive = alive_at(candidates, usage, step)

        def at(removed, before=tuple(counts), alive=alive):
            after = counts_at(removed)
            return [
                min(b, a) if lives else b
                for b, a, lives in zip(before, after, alive, strict=True)
            ]

        def fits(removed, at=at, step=step):
            return usage.loads(candidates.keep(at(removed)))[step] <= limit

        if fits(most):
            counts = at(rankings.fewest(fits, most))
        given_up.add(step)


def alive_at(candidates, usage, step):
    """Marks the groups with channels in a buffer alive at a step.

    Returns:
        List of `bool`.
    """
    alive = np.zeros(candidates.graph.size, bool)
    for buffer in buffers_at(usage, step):
        alive[buffer.channels] = True
    return [bool(alive[group.labels].any()) for group in candidates.groups]


def buffers_at(usage, step):
    """Returns the list of `memory.Buffer`s that are alive at a step."""
    return [b for b in usage.buffers if b.first <= step <= b.last]


def _live_bytes(usage, step, keep):
    return sum(usage.buffer_bytes(b, keep) for b in buffers_at(usage, step))


def describe(usage, keep, graph):
    """Describes what occupies memory at its peak.

    Args:
        usage: as for `cut`.
        keep: bool array, shape `(graph.size,)`.
        graph: the `ChannelGraph`.

    Returns:
        A `str` such as `"35,000 bytes while 'add' runs: outputs of conv
        (32x32x8), add (32x32x8)"`.
    """
    load, running, tensors = at_peak(usage, keep, graph)
    names = [
        f"{maker} ({'x'.join('?' if n is None else str(n) for n in shape)})"
        for maker, shape in tensors
    ]
    return (
        f"{load:,} bytes while {running!r} runs, outputs of "
        f"{', '.join(dict.fromkeys(names))}"
    )


def at_peak(usage, keep, graph):
    """Returns what occupies memory at its peak.

    A tensor above a gap reaches as high as when the gap is full: of steps that
    reach equally high, the one with the most live bytes is the peak.

    Args:
        usage, keep, graph: as for `describe`.

    Returns:
        `(load, running, tensors)`: bytes, the path of the layer that runs
        then, and a list with `(layer, shape)` of each live tensor: the layer
        that made it, and its shape without the batch axis.
    """
    load, running, alive = max(
        over_time(usage, keep, graph),
        key=lambda step: (step[0], sum(size for *_, size in step[2])),
    )
    return load, running, [(maker, shape) for maker, shape, _ in alive]


def over_time(usage, keep, graph):
    """Returns what occupies memory at each step.

    Args:
        usage, keep, graph: as for `describe`.

    Returns:
        A list with `(load, running, tensors)` for each step, starting with
        the inputs: bytes, the path of the layer that runs, and a list with
        `(layer, shape, size)` of each live tensor: the layer that made it,
        its shape without the batch axis, and the bytes of its buffer. What
        the kernel of a layer holds while it runs is a tensor of its own.
    """
    alive = [[] for _ in usage.running]
    for buffer in usage.buffers:
        tensor = max(
            buffer.tensors, key=lambda t: math.prod(memory.sizes(t, keep))
        )
        maker = usage.makers.get(id(tensor), "the input")
        shape = memory.shape(tensor, keep)
        size = usage.buffer_bytes(buffer, keep)
        for step in range(buffer.first, buffer.last + 1):
            alive[step].append((maker, shape, size))
    for step, size in enumerate(usage.scratch_bytes(keep)):
        if size:
            maker = f"the kernel of {usage.running[step]}"
            alive[step].append((maker, (size,), size))
    loads = map(int, usage.loads(keep))
    return list(zip(loads, usage.running, alive, strict=True))
