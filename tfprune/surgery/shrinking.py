"""From a `Cut` to models: without the other channels, or with zeros there."""

from tfprune.graph import document
from tfprune.graph import rebuild


def apply(cut):
    """The model with only the channels that stay.

    Args:
        cut: a `Cut`; its graph's model is not changed.

    Returns:
        A plain Keras model of the same class, compiled if that one is.

    Example:

    >>> cut = tfprune.selection.choose(tfprune.channel_graph(model), 0.5)
    >>> small = tfprune.surgery.apply(cut)
    """
    return rebuild.shrink(cut.graph, cut.keep, cut.changes)


def masked(cut):
    """The model with zeros where removed channels would be read.

    Args:
        cut: a `Cut`; its graph's model is not changed, and its new weights
            are left out.

    Returns:
        A model with the shapes of the cut's, for which `strip` gives what
        `apply` would.
    """
    graph = cut.graph
    config = document.copied(graph.config)
    return rebuild.build(graph.model, config, cut.zero_reads)
