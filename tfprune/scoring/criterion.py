"""Criteria: what scores channels, and where each one comes from.

A criterion is a function `(values, axis) -> scores` that knows nothing of
layers, or an object of a class derived from `Criterion` that sees the whole
`ChannelGraph`.
"""

import abc
import dataclasses
import typing

from tfprune.core import registry

criteria = registry.Registry("criterion")

# What a criterion needs besides the model, and what it costs.
NOTHING, INPUTS, LABELS = "nothing", "inputs", "inputs and labels"
WEIGHTS = "weights"
FORWARD = "forward pass"
BACKWARD = "forward and backward pass"


class Criterion(abc.ABC):
    """Base class of criteria that need more than one array of weights.

    Attributes:
        normalize: `str`, how scores are made comparable across groups where
            the caller does not say; a name of `tfprune.scoring.normalizers`.

    Example:

    >>> class FanOut(tfprune.criteria.Criterion):
    ...     def scores(self, graph, data=None):
    ...         readers = np.zeros(graph.size)
    ...         for group in graph.groups:
    ...             readers[group.labels] = len(group.readers)
    ...         return readers
    """

    normalize = "mean"

    @abc.abstractmethod
    def scores(self, graph, data=None):
        """One score for each channel; those with low scores go first.

        Args:
            graph: a `ChannelGraph`.
            data: what `tfprune.prune` was given as `data`, or `None`.

        Returns:
            Float array, shape `(graph.size,)`. Infinity says that the
            criterion cannot judge a channel: it stays.
        """

    def refine(self, graph, keep):
        """Which channels stay once their numbers are settled.

        Args:
            graph: a `ChannelGraph`.
            keep: bool array, shape `(graph.size,)`: those with the highest
                scores that the budget allows.

        Returns:
            Bool array of that shape; the same one unless overridden.
        """
        del graph
        return keep


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered criterion, where it comes from and what it asks for.

    Attributes:
        name: `str`, the first of its names.
        criterion: a function, an object, or a class taken with its defaults.
        paper: `str`, authors and title.
        year: `int`, or `None` where there is no paper.
        url: `str`.
        data: `NOTHING`, `INPUTS` or `LABELS`.
        cost: `str`, for each sample where data are needed.
    """

    name: str
    criterion: typing.Any
    paper: str = ""
    year: int | None = None
    url: str = ""
    data: str = NOTHING
    cost: str = WEIGHTS


def register(*names, **about):
    """A decorator that files a criterion with what there is to know of it.

    Args:
        *names: `str`s, as for `registry.Registry.register`.
        **about: `paper`, `year`, `url`, `data` and `cost` of its `Entry`.

    Example:

    >>> @register("sum", paper="Nobody, Nothing", year=2016, url="")
    ... def total(values, axis): ...
    """

    def add(criterion):
        criteria.register(*names)(Entry(names[0], criterion, **about))
        return criterion

    return add


def find(criterion):
    """The function or object that a criterion stands for.

    Args:
        criterion: a registered name, a function `(values, axis) -> scores`,
            a `Criterion`, or a class of these, taken with its defaults.

    Raises:
        ValueError: If the name is unknown.
        TypeError: If it is none of these.
    """
    if isinstance(criterion, str):
        criterion = criteria.get(criterion).criterion
    if isinstance(criterion, type):
        criterion = criterion()
    if isinstance(criterion, Criterion):
        return criterion
    if hasattr(criterion, "scores"):
        raise TypeError(
            "An object that scores channels must be a "
            "tfprune.criteria.Criterion. Received: "
            f"criterion={criterion!r}. Derive its class from that one."
        )
    if not callable(criterion):
        raise TypeError(
            "A criterion must be a registered name "
            f"({', '.join(criteria.names())}), a function (values, axis) -> "
            "scores, or a tfprune.criteria.Criterion. "
            f"Received: criterion={criterion!r}."
        )
    return criterion
