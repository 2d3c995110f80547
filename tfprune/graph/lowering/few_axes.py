"""Ops on more axes than the kernels of TFLite Micro take, by those of fewer.

Axes that an op treats alike and that stay neighbors are one axis to it.
"""

MOST_AXES = 4


def transpositions(shape, order):
    """Transpositions of at most four axes that do one of more together.

    Args:
        shape: sequence of `int`; axes of size 1 are left out.
        order: sequence of `int`.

    Yields:
        `(groups, order)`: lists of those axes of `shape` that are one axis
        each, and in which order these are put.
    """
    runs, order = _merged(shape, order)
    if len(runs) <= MOST_AXES:
        if len(runs) > 1:
            yield runs, order
        return
    # One axis after the other moves in front of those that come after it.
    now = list(range(len(runs)))
    for goal, run in enumerate(order):
        at = now.index(run)
        if at > goal:
            parts = now[:goal], now[goal:at], [run], now[at + 1 :]
            yield [[a for i in p for a in runs[i]] for p in parts], [0, 2, 1, 3]
            now.insert(goal, now.pop(at))


def _merged(shape, order):
    """The runs of axes that stay neighbors, and the order of the runs."""
    kept = [axis for axis, size in enumerate(shape) if size != 1]
    places = {axis: place for place, axis in enumerate(kept)}
    runs = []
    for axis in order:
        if axis not in places:
            continue
        if runs and places[axis] == places[runs[-1][-1]] + 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    by_source = sorted(runs)
    return by_source, [by_source.index(run) for run in runs]
