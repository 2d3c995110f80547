"""From weights to one score for each channel.

A criterion knows nothing of layers: it maps an array to one score for each
index of an axis. The scores of everything that writes a channel are added up.
"""

import dataclasses

import numpy as np

from tfprune.core import registry
from tfprune.graph import channel_graph
from tfprune.graph import values

criteria = registry.Registry("criterion")
abouts = registry.Registry("criterion with a paper")

# What a criterion needs besides the model, and what it costs.
NOTHING, INPUTS, LABELS = "nothing", "inputs", "inputs and labels"
WEIGHTS = "weights"
FORWARD = "forward pass"
BACKWARD = "forward and backward pass"


@dataclasses.dataclass(frozen=True)
class About:
    """Where a criterion comes from and what it asks for.

    Attributes:
        paper: `str`, authors and title.
        year: `int`.
        url: `str`.
        data: `NOTHING`, `INPUTS` or `LABELS`.
        cost: `str`, for each sample where data are needed.
    """

    paper: str
    year: int
    url: str
    data: str = NOTHING
    cost: str = WEIGHTS


def register(*names, **about):
    """A decorator that files a criterion with what there is to know of it.

    Args:
        *names: `str`s, as for `registry.Registry.register`.
        **about: the attributes of `About`.

    Example:

    >>> @register("sum", paper="Nobody, Nothing", year=2016, url="")
    ... def total(values, axis): ...
    """

    def add(criterion):
        criteria.register(*names)(criterion)
        abouts.register(*names)(About(**about))
        return criterion

    return add


def channel_scores(graph, criterion="l1", data=None):
    """The score of each channel; those with low scores are removed first.

    Args:
        graph: a `ChannelGraph`.
        criterion: a registered name; a function `(values, axis) -> scores`
            that maps an array and an axis to a score for each index of the
            axis; or an object (or a class, taken with its defaults) with a
            method `scores(graph, data)`, which may give infinity to channels
            that it cannot judge: they stay.
        data: what a criterion that looks at activations or gradients needs:
            `(x, y)` arrays, a `tf.data.Dataset`, a `keras.utils.PyDataset`
            or a generator of batches; see `tfprune.datasets.samples`.

    Returns:
        Float array, shape `(graph.size,)`, not negative; channels that
        nothing writes score 0.

    Raises:
        ValueError: If the criterion is unknown, or a score is not finite.
        TypeError: If the criterion is of none of these kinds.
    """
    criterion = find(criterion)
    judges = hasattr(criterion, "scores")
    if judges:
        scores = np.asarray(criterion.scores(graph, data), np.float64)
    else:
        scores = writer_scores(graph, criterion)
    return _checked(graph, scores, judges)


def find(criterion):
    """The function or object that a criterion stands for.

    Args:
        criterion: as for `channel_scores`.
    """
    if isinstance(criterion, str):
        criterion = criteria.get(criterion)
    if isinstance(criterion, type):
        criterion = criterion()
    if not hasattr(criterion, "scores") and not callable(criterion):
        raise TypeError(
            "A criterion must be a registered name "
            f"({', '.join(criteria.names())}), a function (values, axis) -> "
            "scores, or an object with a method scores(graph, data). "
            f"Received: criterion={criterion!r}."
        )
    return criterion


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


def _checked(graph, scores, unrated):
    """The scores; infinity is an answer only where `unrated` says so."""
    if scores.shape != (graph.size,):
        raise ValueError(
            "A criterion must give one score for each channel, shape "
            f"{(graph.size,)}. Received: scores of shape {scores.shape}."
        )
    bad = ~np.isfinite(scores) & graph.removable
    if unrated:
        bad &= scores != np.inf
    if bad.any():
        layers = [g.name for g in graph.groups if bad[g.labels].any()]
        raise ValueError(
            "Scores must be finite numbers. Received: "
            f"{int(bad.sum())} channels whose score is NaN or infinite, in "
            f"{', '.join(layers[:5])}. The weights of these layers, or the "
            "data, are likely NaN: look at where they come from."
        )
    return scores
