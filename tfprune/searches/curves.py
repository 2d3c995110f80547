"""Sensitivity of a model to pruning each channel group.

Li, Kadav, Durdanovic, Samet, Graf, "Pruning Filters for Efficient ConvNets",
2016, https://arxiv.org/abs/1608.08710, sections 3.2 and 4: prune each layer
alone, at many ratios, without training. Layers whose curve falls early are
sensitive and should be pruned less.
"""

import dataclasses
import typing
from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np

from tfprune.core import kinds
from tfprune.core import printed
from tfprune.core import progress_bar
from tfprune.core import records
from tfprune.core import tables
from tfprune.core import typed
from tfprune.core.files import atomic
from tfprune.core.files import damage
from tfprune.core.files import json_text
from tfprune.datasets import samples
from tfprune.datasets import tally
from tfprune.graph import read
from tfprune.scoring import score
from tfprune.searches import masked_evaluation
from tfprune.searches import metrics
from tfprune.selection import candidates as candidates_lib

_PURPOSE = "the sensitivity"
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclasses.dataclass(frozen=True)
class Point:
    """The measurement of a model with one group pruned.

    Attributes:
        group: `str`, the name of the group.
        ratio: `float`, the fraction of its channels requested to be removed.
        kept: `int`, number of channels kept in the group.
        channels: `int`, number of channels in the group.
        value: `float`, the metric.
    """

    group: str
    ratio: float
    kept: int
    channels: int
    value: float


@dataclasses.dataclass(frozen=True)
class Sensitivity(printed.Printed):
    """The sensitivity curves of all groups.

    Attributes:
        model: `str`, name of the model.
        metric: `str`, name of the metric.
        dense: `float`, the metric of the full model.
        points: tuple of `Point`, by group and then by rising ratio.
    """

    model: str
    metric: str
    dense: float
    points: tuple[Point, ...]

    def curves(self):
        """Returns a `dict` from group to its list of `Point`."""
        curves = {}
        for point in self.points:
            curves.setdefault(point.group, []).append(point)
        return curves

    def ratios(self, drop):
        """Returns each group's largest ratio that costs no more than `drop`.

        Args:
            drop: `float`, how far the metric may fall below that of the full
                model, at this ratio and at all smaller ones.

        Returns:
            `dict` from group to ratio, a budget for `tfprune.prune`, without
            the groups that stay whole; 0 for those whose layer writes others
            that do not.
        """
        found, curves = {}, self.curves()
        for group, curve in curves.items():
            for point in curve:
                # Nor does a value that is NaN count as near.
                if not self.dense - point.value <= drop + 1e-9:
                    break
                found[group] = point.ratio
        # The name of a layer stands for all groups that it writes, unless
        # they are named as well.
        for group in curves:
            if group.partition("#")[0] in found:
                found.setdefault(group, 0.0)
        return found

    def text(self, value):
        """A value of the metric as text: an accuracy in percent."""
        return tally.text(self.metric, value)

    def tables(self):
        """Returns a list of one `tables.Table`."""
        return [self.table()]

    def table(self):
        """Returns a `tables.Table` with a row per group, a column per ratio."""
        ratios = sorted({point.ratio for point in self.points})
        rows = []
        for group, curve in self.curves().items():
            value = {point.ratio: point.value for point in curve}
            cells = [self.text(value[r]) for r in ratios]
            rows.append((group, str(curve[0].channels), *cells))
        header = ("group", "channels", *(f"-{tables.ratio(r)}" for r in ratios))
        title = (
            f"{self.metric} of {self.model} with one group pruned; "
            f"full model: {self.text(self.dense)}"
        )
        return tables.Table(header, tuple(rows), title)

    @classmethod
    def from_dict(cls, found):
        """Restores the curves from what `dataclasses.asdict` returns."""
        points = tuple(
            records.checked(Point(**point)) for point in found["points"]
        )
        return records.checked(cls(**{**found, "points": points}))

    def to_json(self):
        """Returns the curves as a JSON string."""
        return json_text.written(dataclasses.asdict(self))

    def save(self, path):
        """Saves the curves to a JSON file."""
        path = atomic.writable(path)
        atomic.write({path: self.to_json().encode()})


def load(path):
    """Loads a `Sensitivity` from a file that `save` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged.
    """

    def made(found):
        return Sensitivity.from_dict(json_text.measured(found))

    return damage.read_json(path, made)


def sensitivity(
    model: keras.Model,
    data: typed.Data,
    ratios: Sequence[float] = RATIOS,
    criterion: typing.Any = "l1",
    metric: str | Callable | None = None,
    groups: typed.Names = ("*",),
    limit: int | None = None,
    progress: bool = True,
) -> Sensitivity:
    """Measures the model with each group pruned alone, without training.

    The model is traced once for all points; zeroing the weights that read a
    channel stands in for removing it.

    Args:
        model: a built `keras.Model`; it is not changed.
        data: `(x, y)` arrays, or a repeatable source of such batches; see
            `tfprune.datasets.samples`. Read once per point.
        ratios: floats in [0, 1), fractions of a group's channels to remove.
        criterion: as for `tfprune.prune`; uses the same data if it needs any.
        metric: function `(y, outputs) -> numbers` of numpy arrays, one number
            per sample; larger is better. A point's value is their mean.
            If it has a parameter `mask`, that is a list of the Keras mask of
            each output. "neg_mean_absolute_error" and "neg_mean_squared_error"
            are known by name. `None` measures the accuracy.
        groups: name patterns of the groups to measure; `None` measures all.
        limit: `int`, maximum number of samples to use; `None` uses all.
        progress: `bool`, whether to show a progress bar on stderr, if that is
            a terminal.

    Returns:
        A `Sensitivity`.

    Raises:
        ValueError: If data or labels are missing or can be read only once, a
            ratio is out of range or a pattern matches nothing.

    Example:

    >>> curves = tfprune.sensitivity(model, (x_val, y_val))
    >>> small = tfprune.prune(model, curves.ratios(drop=0.02))
    """
    samples.check_repeatable(data, _PURPOSE)
    ratios, metric = _checked(ratios), metrics.of(metric)
    graph = read.channel_graph(model)
    chosen = _chosen(graph, groups)
    criterion = score.as_criterion(criterion)
    scores = score.channel_scores(graph, criterion, data)
    candidates = candidates_lib.Candidates(graph, scores)
    evaluation = masked_evaluation.MaskedEvaluation(graph, data, metric, limit)
    bar = progress_bar.bar(progress)
    with bar:
        task = bar.add_task("sensitivity", total=1 + len(chosen) * len(ratios))
        dense = evaluation.value(np.ones(graph.size, bool))
        bar.advance(task)
        points = []
        for group in chosen:
            for ratio in ratios:
                keep, kept = _without(candidates, group, ratio)
                value = evaluation.value(criterion.refine(graph, keep))
                points.append(Point(group.name, ratio, kept, len(group), value))
                bar.advance(task)
    name = tally.name_of(metric)
    return Sensitivity(graph.model.name, name, dense, tuple(points))


def _checked(ratios):
    try:
        found = sorted(float(ratio) for ratio in ratios)
    except (TypeError, ValueError):
        found = []
    if not found or not all(0 <= ratio < 1 for ratio in found):
        raise ValueError(
            "`ratios` must be a list of fractions of channels to remove, "
            f"floats in [0, 1). Received: ratios={ratios!r}."
        )
    return found


def _chosen(graph, patterns):
    """The removable groups that match any of the patterns."""
    patterns = "*" if patterns is None else patterns
    patterns = kinds.names("groups", patterns)
    free = [group for group in graph.groups if not group.frozen]
    fitting = {
        p: [group for group in free if candidates_lib.matches(group, p)]
        for p in patterns
    }
    unused = [p for p, groups in fitting.items() if not groups]
    if unused or not patterns:
        known = [group.name for group in free]
        raise ValueError(
            "Every pattern must match the name of a group whose channels can "
            f"be removed. Received: groups={patterns}, of which {unused} match "
            f"none of {known[:8]}{' ...' if len(known) > 8 else ''}."
        )
    chosen = set().union(*fitting.values())
    return [group for group in free if group in chosen]


def _without(candidates, group, ratio):
    """Keeps all channels but those of one group that `prune` removes."""
    counts = [
        int(len(order) * (1 - ratio if each is group else 1) + 1e-9)
        for each, order in zip(candidates.groups, candidates.order, strict=True)
    ]
    keep = candidates.keep(counts)
    return keep, int(keep[group.labels].sum())
