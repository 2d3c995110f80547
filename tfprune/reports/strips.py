"""The channels of each layer: which are kept, what holds them together."""

import dataclasses

import numpy as np

from tfprune.costs import counting
from tfprune.graph import channel_graph


@dataclasses.dataclass(frozen=True, eq=False)
class Strip:
    """The channels that a layer makes.

    Attributes:
        layer: `str`, path of the layer.
        kept: bool array, shape `(channels,)`, in the order of the layer.
        fixed: bool array of that shape, channels that cannot be removed.
        macs_before, macs_after: `int`, multiply-adds of the layer.
        guessed: `bool`, whether only the number of kept channels is known;
            `kept` has the first ones then.
        coupled: tuple of `str`, the other layers that make the same channels,
            which therefore go together.
        read_by: tuple of `str`, the layers that read them.
        reasons: tuple of `str`, why channels cannot be removed.
    """

    layer: str
    kept: np.ndarray
    fixed: np.ndarray
    macs_before: int
    macs_after: int
    guessed: bool = False
    coupled: tuple = ()
    read_by: tuple = ()
    reasons: tuple = ()


def channel_strips(graph, keep=None, guessed=None):
    """Which channels of which layer are kept.

    Args:
        graph: a `ChannelGraph`.
        keep: bool array, shape `(graph.size,)`; `None` keeps all.
        guessed: bool array of that shape, as from
            `kept_channels.kept_channels`; by default no channel is guessed.

    Returns:
        A list of `Strip`, in the order of execution; a layer that makes
        several sets of channels has several.

    Raises:
        ValueError: If `keep` has the wrong shape.
    """
    channel_graph.check(graph)
    guessed = np.zeros(graph.size, bool) if guessed is None else guessed
    meter = counting.Meter(graph)
    before = {row.layer: row.macs for row in meter.by_layer()}
    after = {row.layer: row.macs for row in meter.by_layer(keep)}
    if keep is None:
        keep = np.ones(graph.size, bool)
    written = {}
    for binding in graph.bindings:
        if binding.role == channel_graph.WRITES:
            # The gates of a recurrent layer write the same channels.
            _, first = np.unique(binding.labels, return_index=True)
            labels = binding.labels[np.sort(first)]
            written[binding.layer, labels.tobytes()] = labels
    group_of = np.zeros(graph.size, int)
    for number, group in enumerate(graph.groups):
        group_of[group.labels] = number
    return [
        Strip(
            layer,
            keep[labels],
            graph.frozen[labels],
            before.get(layer, 0),
            after.get(layer, 0),
            bool(guessed[labels].any()),
            *_company(graph, layer, np.unique(group_of[labels])),
        )
        for (layer, _), labels in written.items()
    ]


def _company(graph, layer, numbers):
    """What the groups of a layer's channels have besides it."""
    groups = [graph.groups[number] for number in numbers]
    coupled = dict.fromkeys(w for g in groups for w in g.writers if w != layer)
    read_by = dict.fromkeys(r for g in groups for r in g.readers)
    reasons = dict.fromkeys(
        f"{g.frozen[1]} ({g.frozen[0]})" for g in groups if g.frozen
    )
    return tuple(coupled), tuple(read_by), tuple(reasons)
