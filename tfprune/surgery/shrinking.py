"""Applies a `Cut`: removes its channels, or zeroes weights that read them."""

from tfprune.graph import document
from tfprune.graph import rebuild
from tfprune.selection import cut as cut_lib


def apply(cut):
    """Builds the smaller model, with only the kept channels.

    Args:
        cut: a `Cut`; its graph's model is not changed.

    Returns:
        A plain Keras model of the same class, compiled if the original is.

    Example:

    >>> cut = tfprune.selection.choose(tfprune.channel_graph(model), 0.5)
    >>> small = tfprune.surgery.apply(cut)
    """
    cut_lib.check(cut)
    return rebuild.shrink(cut.graph, cut.keep, cut.changes)


def masked(cut):
    """Builds the full-size model with zeros where it reads removed channels.

    Args:
        cut: a `Cut`; its graph's model is not changed, and its new weights
            are ignored.

    Returns:
        A model with the original shapes; stripping it gives the result of
        `apply`.
    """
    cut_lib.check(cut)
    graph = cut.graph
    config = document.copied(graph.config)
    return rebuild.build(graph.model, config, cut.zero_reads)
