"""The removable channels of each group, in their order of removal."""

import fnmatch
import numbers
import warnings

import numpy as np

from tfprune.core import kinds
from tfprune.selection import rounding


def checked_ratios(ratio):
    """Returns a ratio or a `dict` of ratios as a `dict` from name patterns.

    Raises:
        ValueError: If one of them is not a number in [0, 1).
    """
    ratios = ratio if isinstance(ratio, dict) else {"*": ratio}
    for pattern, value in ratios.items():
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not real or not 0 <= value < 1:
            raise ValueError(
                "A ratio must be the fraction of each group's channels to "
                f"remove, a float in [0, 1). Received: ratio={value!r} for "
                f"{pattern!r}. To limit what remains, give a budget, as in "
                "macs=0.5."
            )
    return ratios


class Candidates:
    """The removable channels of each group, lowest score first.

    Channels that score infinity are left out.

    Args:
        graph: a `ChannelGraph`.
        scores: float array, shape `(graph.size,)`.
        min_channels: `int`, minimum number of channels that each group keeps.
        channel_multiple: `int`; each group keeps a multiple of it, rounded
            up, or all.
        target: a key of `rounding.TARGETS` ("cortex-m") that sets the channel
            multiple.
        skip: name patterns (`fnmatch`) of layers whose channels all stay.

    Attributes:
        groups: list of `Group`s, those that are not frozen and not skipped.
        order: list of int arrays, the channels of each group.
    """

    def __init__(
        self,
        graph,
        scores,
        min_channels=1,
        channel_multiple=1,
        skip=(),
        target=None,
    ):
        self._rounding = rounding.Rounding(
            min_channels, channel_multiple, target
        )
        self.graph, self.scores = graph, np.asarray(scores, np.float64)
        left_out = skipped(graph, skip)
        self.groups = [
            g for g in graph.groups if not g.frozen and g not in left_out
        ]
        rated = [g.labels[self.scores[g.labels] < np.inf] for g in self.groups]
        self.order = [
            labels[np.argsort(self.scores[labels], kind="stable")]
            for labels in rated
        ]

    def keep(self, counts):
        """Keeps the given number of channels of each group.

        Args:
            counts: list of `int`, how many of each `order` stay, besides
                those that score infinity.

        Returns:
            Bool array, shape `(graph.size,)`.
        """
        keep = np.ones(self.graph.size, bool)
        for group, order, count in zip(
            self.groups, self.order, counts, strict=True
        ):
            rest = len(group) - len(order)
            stay = self._rounding.up(count + rest, len(group))
            keep[order[: len(group) - stay]] = False
        return restored(self.graph, keep, self.scores)

    def counts_by_ratio(self, ratio):
        ratios = checked_ratios(ratio)
        if not self.groups:
            raise ValueError(_none_can_go(self.graph))
        fitting = {p: fits(self.graph, p) for p in ratios}
        counts, used = [], set()
        for group, order in zip(self.groups, self.order, strict=True):
            fit = [p for p in ratios if group in fitting[p]]
            # An exact name takes precedence over a pattern, and the name of
            # the group over that of a layer that writes several.
            fit.sort(key=lambda p: (p != group.name, p not in group.writers))
            used |= set(fit)
            share = ratios[fit[0]] if fit else 0.0
            # 64 * (1 - 0.1) is 57.599...: the floor is meant, but 0.7 * 30
            # is 20.999... and must be 21.
            counts.append(int(len(order) * (1 - share) + 1e-9))
        _no_match_is_an_error("ratio", set(ratios) - used, self.graph)
        if any(ratios.values()) and not any(map(len, self.order)):
            written = ", ".join(group.name for group in self.groups[:5])
            warnings.warn(
                "No channel is removed, as none that could go has a score. "
                f"Received: model={self.graph.model.name!r}, of which the "
                f"criterion scores nothing, not even {written}. Use another "
                "criterion, such as 'l1'.",
                stacklevel=2,
            )
        return counts

    def ranked(self, values):
        """Returns the removal order over all groups; `values` as in `order`."""
        where = [np.full(len(o), i) for i, o in enumerate(self.order)]
        where = np.concatenate(where) if where else np.zeros(0, int)
        values = np.concatenate(values) if values else np.zeros(0)
        labels = np.concatenate(self.order) if self.order else where
        return where[np.lexsort((labels, values))]


def restored(graph, keep, scores=None):
    """Restores channels without which there is no smaller model like this.

    One on every axis that has lost all of them, and one where as many would be
    left as must not be.

    Args:
        graph: a `ChannelGraph`.
        keep: bool array, shape `(graph.size,)`.
        scores: float array of that shape; the channel with the highest score
            is restored, the first one if `scores` is `None`.

    Returns:
        A bool array of that shape.
    """
    keep = keep | graph.frozen
    scores = np.zeros(graph.size) if scores is None else scores
    for axis in graph.axes:
        if not keep[axis].any():
            keep[axis[np.argmax(scores[axis])]] = True
    clashes = list(graph.clashes)
    while clashes:
        counts = clashes.pop()
        if all(keep[labels].sum() == count for labels, count in counts):
            gone = [labels[~keep[labels]] for labels, _ in counts]
            gone = np.concatenate(gone)
            keep[gone[np.argmax(scores[gone])]] = True
            clashes = list(graph.clashes)
    return keep


def _names(group):
    return (group.name, *group.writers)


def matches(group, pattern):
    """Returns whether a pattern matches a group or one of its writers."""
    return pattern in _names(group) or any(
        fnmatch.fnmatchcase(name, pattern) for name in _names(group)
    )


def fits(graph, pattern):
    """Returns the set of groups with a name, else those that match it."""
    named = {g for g in graph.groups if pattern in _names(g)}
    return named or {g for g in graph.groups if matches(g, pattern)}


def skipped(graph, patterns):
    """Returns the set of groups that match any of the name patterns."""
    fitting = {p: fits(graph, p) for p in kinds.names("skip", patterns)}
    unused = {p for p, groups in fitting.items() if not groups}
    _no_match_is_an_error("skip", unused, graph)
    return set().union(*fitting.values())


def _none_can_go(graph, most=8):
    """Describes the groups and what keeps each from being pruned."""
    lines = []
    for group in graph.groups:
        layer, reason = group.frozen or ("`skip`", "skipped")
        lines.append(f"{group.name} ({len(group)}): {reason}, by {layer}")
    more = len(lines) - most
    end = f"; and {more} more" if more > 0 else ""
    return (
        "Removable channels are required. Received: model="
        f"{graph.model.name!r}, which has none: "
        f"{'; '.join(lines[:most])}{end}. print(tfprune.channel_graph(model)) "
        "lists them all."
    )


def _no_match_is_an_error(name, unused, graph):
    if unused:
        known = [g.name for g in graph.groups if not g.frozen]
        raise ValueError(
            f"Every pattern of `{name}` must match the name of a layer whose "
            f"channels can be removed. Received: {sorted(unused)}, which match "
            f"none of {known[:8]}{' ...' if len(known) > 8 else ''}."
        )
