"""Computes one score per channel."""

import dataclasses

import numpy as np

from tfprune.graph import channel_graph
from tfprune.graph import values
from tfprune.scoring import adapters
from tfprune.scoring import criterion as criterion_lib


def channel_scores(graph, criterion="l1", data=None):
    """Computes the score of each channel; the lowest are removed first.

    Args:
        graph: a `ChannelGraph`.
        criterion: a registered name; a function `(values, axis) -> scores`
            that maps an array and an axis to a score for each index of the
            axis; or a `Criterion` (or a subclass, used with its defaults). A
            `Criterion` may give infinity to channels that it cannot score,
            which then stay.
        data: data for criteria that use activations or gradients: `(x, y)`
            arrays, a `tf.data.Dataset`, a `keras.utils.PyDataset` or a
            generator of batches; see `tfprune.datasets.samples`.

    Returns:
        Float array, shape `(graph.size,)`, non-negative; channels that
        nothing writes score 0.

    Raises:
        ValueError: If the criterion is unknown, or a weight or a score is not
            finite.
        TypeError: If the criterion has another type.
    """
    channel_graph.check(graph)
    criterion = as_criterion(criterion)
    values.check_finite(graph.model)
    scores = np.asarray(criterion.scores(graph, data), np.float64)
    return _checked(graph, scores, not isinstance(criterion, OfWriters))


def as_criterion(criterion):
    """Converts a name, a function, a class or an object to a `Criterion`.

    Args:
        criterion: as for `channel_scores`.
    """
    found = criterion_lib.find(criterion)
    if isinstance(found, criterion_lib.Criterion):
        return found
    return OfWriters(found)


@dataclasses.dataclass(frozen=True)
class OfWriters(criterion_lib.Criterion):
    """Scores channels by a function, summed over all weights that write them.

    Args:
        function: `(values, axis) -> scores`, shape `(values.shape[axis],)`.
    """

    function: object

    def scores(self, graph, data=None):
        """The sums, shape `(graph.size,)`."""
        del data
        writes = (b for b in graph.bindings if b.role == channel_graph.WRITES)
        return summed(
            graph,
            (
                (b, self._of(array, b.axis))
                for b, array in adapters.whole(graph, writes)
            ),
        )

    def _of(self, array, axis):
        """The scores of an array's slices, shape `(array.shape[axis],)`."""
        scores = np.asarray(self.function(array, axis))
        if scores.shape != (array.shape[axis],):
            raise ValueError(
                "A criterion must return one score per index of the axis, "
                f"shape {(array.shape[axis],)}. Received: scores of shape "
                f"{scores.shape}, of weights of shape {array.shape} and "
                f"axis={axis}. Reduce all other axes."
            )
        return scores


def summed(graph, parts):
    """Adds up, per channel, its slices of several tensors.

    Args:
        graph: a `ChannelGraph`.
        parts: iterable of `(binding, array)`: an array of the shape of the
            binding's variable, of which each slice along its axis is summed,
            or these sums themselves, shape `(binding.labels.size,)`.

    Returns:
        Float array, shape `(graph.size,)`; 0 for a channel of no binding.
    """
    total = np.zeros(graph.size)
    for binding, array in parts:
        if np.ndim(array) > 1:
            others = tuple(a for a in range(array.ndim) if a != binding.axis)
            array = array.sum(others)
        # A channel may occur in the labels several times.
        np.add.at(total, binding.labels, array)
    return total


def counted(graph, bindings):
    """Counts, per channel, the bindings that contain it, `(graph.size,)`."""
    count = np.zeros(graph.size)
    for binding in bindings:
        count[np.unique(binding.labels)] += 1
    return count


def with_unrated(scores, bindings, found):
    """Gives infinity to channels of which a score lacks a part.

    Args:
        scores: float array, one score per channel.
        bindings: list of `Binding`s, those that add to the scores.
        found: container of the `id`s of the variables whose parts are known.

    Returns:
        Float array of that shape.
    """
    scores = scores.copy()
    for binding in bindings:
        if id(binding.variable) not in found:
            scores[binding.labels] = np.inf
    return scores


def _checked(graph, scores, unrated):
    """Checks scores; infinity is only allowed if `unrated`."""
    if scores.shape != (graph.size,):
        raise ValueError(
            "A criterion must return one score per channel, shape "
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
            "data, are probably NaN: check their source."
        )
    return scores
