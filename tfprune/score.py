"""From weights to one score for each channel.

A criterion knows nothing of layers: it maps an array to one score for each
index of an axis. The scores of everything that writes a channel are added up.
"""

import numpy as np

from tfprune import registry
from tfprune.graph import channel_graph
from tfprune.graph import values

criteria = registry.Registry("criterion")


def channel_scores(graph, criterion="l1", data=None):
    """The score of each channel; those with low scores are removed first.

    Args:
        graph: a `ChannelGraph`.
        criterion: a registered name; a function `(values, axis) -> scores`
            that maps an array and an axis to a score for each index of the
            axis; or an object with a method `scores(graph, data)`.
        data: what a criterion that looks at activations or gradients needs.

    Returns:
        Float array, shape `(graph.size,)`, not negative; channels that
        nothing writes score 0.

    Raises:
        ValueError: If the criterion is unknown, or a score is not finite.
        TypeError: If the criterion is of none of these kinds.
    """
    if isinstance(criterion, str):
        criterion = criteria.get(criterion)
    if hasattr(criterion, "scores"):
        scores = np.asarray(criterion.scores(graph, data), np.float64)
    elif callable(criterion):
        scores = writer_scores(graph, criterion)
    else:
        raise TypeError(
            "A criterion must be a registered name "
            f"({', '.join(criteria.names())}), a function (values, axis) -> "
            "scores, or an object with a method scores(graph, data). "
            f"Received: criterion={criterion!r}."
        )
    return _checked(graph, scores)


def writer_scores(graph, function):
    """Adds up `function(values, axis)` over everything that writes a channel.

    Args:
        graph: a `ChannelGraph`.
        function: `(values, axis) -> scores`, shape `(values.shape[axis],)`.

    Returns:
        Float array, shape `(graph.size,)`.
    """
    scores = np.zeros(graph.size)
    for binding in graph.bindings:
        if binding.role != channel_graph.WRITES:
            continue
        array = values.numpy(binding.variable)
        np.add.at(scores, binding.labels, function(array, binding.axis))
    return scores


def _checked(graph, scores):
    if scores.shape != (graph.size,):
        raise ValueError(
            "A criterion must give one score for each channel, shape "
            f"{(graph.size,)}. Received: scores of shape {scores.shape}."
        )
    bad = ~np.isfinite(scores) & graph.removable
    if bad.any():
        layers = [g.name for g in graph.groups if bad[g.labels].any()]
        raise ValueError(
            "Scores must be finite numbers. Received: "
            f"{int(bad.sum())} channels whose score is NaN or infinite, in "
            f"{', '.join(layers[:5])}. The weights of these layers are "
            "likely NaN: look at the training that made them."
        )
    return scores
