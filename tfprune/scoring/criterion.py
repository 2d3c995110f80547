"""Criteria: the registry and the base class.

A criterion is a function `(values, axis) -> scores` that does not depend on
layers, or an instance of a subclass of `Criterion` that sees the whole
`ChannelGraph`.
"""

import abc
import dataclasses
import typing

import numpy as np

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
        normalize: `str`, default normalization that makes scores comparable
            across groups; a name in `tfprune.scoring.normalizers`.

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
        """Returns one score per channel; the lowest are removed first.

        Args:
            graph: a `ChannelGraph`.
            data: the `data` passed to `tfprune.prune`, or `None`.

        Returns:
            Float array, shape `(graph.size,)`. Infinity means that the
            criterion cannot score a channel, which then stays.
        """

    def scorable(self, graph):
        """Tells which channels can get a score, as far as the graph does.

        Args:
            graph: a `ChannelGraph`.

        Returns:
            Bool array, shape `(graph.size,)`; all true unless overridden.
        """
        return np.ones(graph.size, bool)

    def refine(self, graph, keep):
        """Chooses which channels to keep, given how many.

        Args:
            graph: a `ChannelGraph`.
            keep: bool array, shape `(graph.size,)`: the highest-scoring
                channels that the budget allows.

        Returns:
            Bool array of that shape; the same one unless overridden.
        """
        del graph
        return keep


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered criterion with its source and requirements.

    Attributes:
        name: `str`, the first of its names.
        criterion: a function, an object, or a class used with its defaults.
        paper: `str`, authors and title.
        year: `int`, or `None` if there is no paper.
        url: `str`.
        data: `NOTHING`, `INPUTS` or `LABELS`.
        cost: `str`, cost per sample if data are needed.
    """

    name: str
    criterion: typing.Any
    paper: str = ""
    year: int | None = None
    url: str = ""
    data: str = NOTHING
    cost: str = WEIGHTS

    @property
    def definition(self):
        """What a registry tells it from others by."""
        return self.criterion


def register(*names, **about):
    """Decorator that registers a criterion with its source and requirements.

    Args:
        *names: `str`s, as for `registry.Registry.register`.
        **about: `paper`, `year`, `url`, `data` and `cost` for its `Entry`.

    Example:

    >>> @register("sum", paper="Nobody, Nothing", year=2016, url="")
    ... def total(values, axis): ...
    """

    def add(criterion):
        criteria.register(*names)(Entry(names[0], criterion, **about))
        return criterion

    return add


def find(criterion):
    """Resolves a criterion to its function or object.

    Args:
        criterion: a registered name, a function `(values, axis) -> scores`,
            a `Criterion`, or a subclass, used with its defaults.

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
            f"criterion={criterion!r}. Make its class a subclass of that one."
        )
    if not callable(criterion):
        raise TypeError(
            "A criterion must be a registered name "
            f"({', '.join(criteria.names())}), a function (values, axis) -> "
            "scores, or a tfprune.criteria.Criterion. "
            f"Received: criterion={criterion!r}."
        )
    return criterion
