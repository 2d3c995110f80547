"""What to remove from a model: the record that pruning steps pass on."""

import dataclasses

import numpy as np

from tfprune.core import kinds
from tfprune.core import printed
from tfprune.core import tables
from tfprune.graph import channel_graph
from tfprune.graph import values
from tfprune.scoring import score
from tfprune.selection import budget as budget_lib
from tfprune.selection import goal
from tfprune.selection import select


@dataclasses.dataclass(frozen=True, eq=False)
class Cut(printed.Printed):
    """The channels of a model to keep, and new values of their weights.

    Attributes:
        graph: the `ChannelGraph` of the model, read once.
        keep: bool array, shape `(graph.size,)`, the channels to keep.
        changes: `dict` from `id(variable)` to the variable's new value, a
            numpy array of its original shape.
    """

    graph: channel_graph.ChannelGraph
    keep: np.ndarray
    changes: dict = dataclasses.field(default_factory=dict)

    def tables(self):
        """Returns a list of one `tables.Table`: the channels kept per group."""
        rows = tuple(
            (
                group.name,
                tables.number(len(group)),
                tables.number(int(self.keep[group.labels].sum())),
                tables.percent(self.keep[group.labels].mean()),
            )
            for group in self.graph.groups
            if not group.frozen
        )
        header = (self.graph.model.name, "channels", "stay", "share")
        return [tables.Table(header, rows)]

    @classmethod
    def whole(cls, graph):
        """Returns the cut that keeps every channel of a graph."""
        return cls(graph, np.ones(graph.size, bool))

    def changed(self, changes):
        """Returns the same cut with additional new values."""
        return dataclasses.replace(self, changes=self.changes | changes)

    def zero_reads(self, variable):
        """Zeroes a variable's original value where it reads removed channels.

        Returns:
            The variable's value, or a changed numpy copy.
        """
        value = variable.value
        for b in self.graph.bound(variable):
            kept = self.keep[b.labels]
            if b.role == channel_graph.READS and not kept.all():
                value = np.array(values.numpy(value, exact=True))
                np.moveaxis(value, b.axis, 0)[~kept] = 0
        return value


def check(cut):
    """Raises a `TypeError` for what is no `Cut`."""
    cure = (
        "Choose one with tfprune.selection.choose(tfprune.channel_graph(model"
        "), macs=0.5), or call tfprune.prune."
    )
    kinds.check("cut", cut, Cut, cure)


def choose(
    graph,
    budget=None,
    criterion="l1",
    data=None,
    ranking="global",
    normalize=None,
    **options,
):
    """Chooses the channels that `tfprune.prune` keeps.

    Args:
        graph: a `ChannelGraph`.
        budget, criterion, data, ranking: as for `tfprune.prune`.
        normalize: how to make scores comparable across groups, as in
            `by_budget`; `None` uses the criterion's default.
        **options: limits or `ratio`, as for `tfprune.prune`;
            `min_channels`, `int`, minimum number of channels that each group
            keeps; `channel_multiple`, `int`, each group keeps a multiple of
            it, or all; `target`, `"cortex-m"`, `"ethos-u55"`, `"xnnpack"`,
            ..., uses the channel multiple of its kernels; `skip`, name
            patterns of layers whose channels all stay, and in `prune` whose
            blocks.

    Returns:
        A `Cut` without new weights.

    Raises:
        TypeError, ValueError: As `tfprune.prune`.

    Example:

    >>> graph = tfprune.channel_graph(model)
    >>> cut = tfprune.selection.choose(graph, macs=0.5)
    >>> small = tfprune.surgery.apply(cut)
    """
    channel_graph.check(graph)
    budget, options = goal.of(budget, options)
    criterion = score.as_criterion(criterion)
    scores = score.channel_scores(graph, criterion, data)
    if isinstance(budget, budget_lib.Budget):
        normalize = normalize or criterion.normalize
        keep = select.by_budget(
            graph, scores, budget, ranking, normalize, **options
        )
    else:
        keep = select.by_ratio(graph, scores, budget, **options)
    return Cut(graph, criterion.refine(graph, keep))
