"""From scores to the channels that stay.

Selection is exact: the count asked for is the count removed, channels with
equal scores go in the order of their index, and no layer loses its last one.
"""

import dataclasses
import fnmatch
import numbers

import numpy as np

from tfprune.costs import counting
from tfprune.scoring import normalizers
from tfprune.scoring import rankings
from tfprune.selection import peak_cut
from tfprune.selection import rounding

LIMITS = ("macs", "params", "channels", "peak_bytes", "flash_bytes")
LIMITS += ("ram_bytes", "latency")


@dataclasses.dataclass(frozen=True)
class Budget:
    """How much of a model may remain.

    A float in (0, 1] is a fraction of the dense model, an int an absolute
    ceiling. Several limits hold together. The last three are predicted;
    `tfprune.fit_target` confirms them on the file itself.

    Args:
        macs: multiply-adds of one sample.
        params: weights.
        channels: channels, of those that may be removed.
        peak_bytes: bytes of activations alive at one time.
        flash_bytes: size of the int8 .tflite file.
        ram_bytes: tensor arena of that file on TFLite Micro.
        latency: time of one sample on TFLite, a fraction or microseconds.
        depth: residual blocks, of those whose input goes on unchanged beside
            them; whole blocks go, before any channel does.
        latency_table: what `tfprune.deploy.latency_table(model)` measured;
            needed for `latency`.

    Raises:
        ValueError: If no limit is given, one is out of range, or there is
            no table for `latency`.

    Example:

    >>> tfprune.Budget(macs=0.5)
    >>> tfprune.Budget(flash_bytes=64_000, ram_bytes=40_000)
    """

    macs: object = None
    params: object = None
    channels: object = None
    peak_bytes: object = None
    flash_bytes: object = None
    ram_bytes: object = None
    latency: object = None
    latency_table: object = dataclasses.field(default=None, repr=False)
    depth: object = None

    def __post_init__(self):
        limits = self.limits()
        if self.depth is not None:
            limits["depth"] = self.depth
        if not limits:
            raise ValueError(
                "A budget needs at least one limit: "
                f"{', '.join((*LIMITS, 'depth'))}. "
                "Received: none."
            )
        if self.latency is not None and self.latency_table is None:
            raise ValueError(
                "A limit on latency needs measured layers. Received: "
                f"latency={self.latency!r}, latency_table=None. Give "
                "latency_table=tfprune.deploy.latency_table(model)."
            )
        for name, value in limits.items():
            fraction = isinstance(value, float) and 0 < value <= 1
            count = isinstance(value, (int, np.integer)) and value > 0
            if isinstance(value, bool) or not (fraction or count):
                raise ValueError(
                    "A limit must be a float in (0, 1], the fraction that may "
                    "remain, or a positive int, an absolute ceiling. "
                    f"Received: {name}={value!r}."
                )

    def limits(self):
        """`dict` from the name of each limit that is set to its value."""
        values = {name: getattr(self, name) for name in LIMITS}
        return {k: v for k, v in values.items() if v is not None}

    def meter(self, graph):
        """A `costs.Meter` that knows all that the limits are about."""
        return counting.Meter(graph, self.latency_table)

    def ceilings(self, meter):
        """`dict` from each limit's name to what it allows, in units.

        Args:
            meter: the `meter` of the dense model.
        """
        return {
            name: getattr(meter, name)() * value
            if isinstance(value, float)
            else value
            for name, value in self.limits().items()
        }


# Costs that depend on the sizes of the feature maps.
_NEEDS_SIZES = {"macs", "peak_bytes", "ram_bytes", "latency"}
# Those that one step of the model decides, the fullest.
_PEAKS = ("peak_bytes", "ram_bytes")


def by_budget(
    graph,
    scores,
    budget,
    ranking="global",
    normalize="mean",
    **options,
):
    """Keeps the channels with the highest scores that a budget allows.

    A limit on memory removes channels where memory has its peak alone; for
    the other limits channels go wherever they score lowest.

    Args:
        graph: a `ChannelGraph`.
        scores: float array, shape `(graph.size,)`; a channel that scores
            infinity stays.
        budget: a `Budget`.
        ranking: `"global"` compares scores across groups; `"group"` removes
            the same share of each group; `"raw"` is `"global"` with
            `normalize="none"`.
        normalize: what is done to the scores of each group before they are
            compared across groups: `"none"`, `"mean"`, `"max"`, `"lamp"` or
            `"size"`; see `tfprune.scoring.normalizers`.
        **options: `min_channels`, `channel_multiple`, `skip`: see `Candidates`.

    Returns:
        Bool array, shape `(graph.size,)`.

    Raises:
        ValueError: If the budget cannot be met; the message says how close
            one can get, and what fills the memory then.
    """
    if budget.depth is not None:
        raise ValueError(
            "A limit on depth is about whole blocks, not channels. Received: "
            f"depth={budget.depth!r}. Give it to tfprune.prune."
        )
    candidates = Candidates(graph, scores, **options)
    normalizer = normalizers.normalizers.get(normalize)
    counts_at, most = rankings.order(candidates, ranking, normalizer)
    meter = budget.meter(graph)
    ceilings = budget.ceilings(meter)
    if ceilings.keys() & _NEEDS_SIZES:
        counting.check_sizes(graph)
    peaks = [name for name in _PEAKS if name in ceilings]

    def fits(keep):
        return all(getattr(meter, k)(keep) <= n for k, n in ceilings.items())

    def keep_at(removed):
        counts = counts_at(removed)
        for name in peaks:
            usage, limit = meter.over_time(name), ceilings[name]
            counts = peak_cut.cut(
                candidates, counts, counts_at, most, usage, limit
            )
        return candidates.keep(counts)

    smallest = keep_at(most)
    if not fits(smallest):
        raise _out_of_reach(budget, meter, ceilings, smallest)
    # Costs only fall as more channels go.
    return keep_at(rankings.fewest(lambda n: fits(keep_at(n)), most))


def _out_of_reach(budget, meter, ceilings, keep):
    reached = {k: getattr(meter, k)(keep) for k in ceilings}
    allowed = {k: int(n) for k, n in ceilings.items()}
    peaks = [
        f" At its peak it holds "
        f"{peak_cut.describe(meter.over_time(k), keep, meter.graph)}."
        for k in _PEAKS
        if k in ceilings and reached[k] > ceilings[k]
    ]
    return ValueError(
        f"The budget must be within reach. Received: {budget}, which "
        f"allows {allowed}; with every removable channel gone the model "
        f"still has {reached}.{''.join(peaks)} Raise the limit, or skip "
        "fewer layers."
    )


def by_ratio(graph, scores, ratio, **options):
    """Keeps the same share of the channels of each group.

    Of `n` channels `int(n * (1 - ratio))` stay, as Li et al. 2016 count.

    Args:
        graph: a `ChannelGraph`.
        scores: float array, shape `(graph.size,)`.
        ratio: float in [0, 1), the share removed, or a `dict` from name
            patterns of groups to ratios; the first pattern that fits counts,
            other groups stay whole.
        **options: see `Candidates`.

    Returns:
        Bool array, shape `(graph.size,)`.

    Raises:
        ValueError: If a ratio is out of range, or a pattern matches nothing.
    """
    candidates = Candidates(graph, scores, **options)
    return candidates.keep(candidates.counts_by_ratio(ratio))


def checked_ratios(ratio):
    """A ratio or a `dict` of ratios as a `dict` from name patterns.

    Raises:
        ValueError: If one of them is not a number in [0, 1).
    """
    ratios = ratio if isinstance(ratio, dict) else {"*": ratio}
    for pattern, value in ratios.items():
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not real or not 0 <= value < 1:
            raise ValueError(
                "A ratio is the share of each group's channels to remove, a "
                f"float in [0, 1). Received: ratio={value!r} for {pattern!r}. "
                "To say what may remain, give a budget, as in macs=0.5."
            )
    return ratios


class Candidates:
    """The removable channels of each group, the lowest score first.

    Those that score infinity are left out.

    Args:
        graph: a `ChannelGraph`.
        scores: float array, shape `(graph.size,)`.
        min_channels: `int`, how many channels of each group stay at least.
        channel_multiple: `int`; each group keeps a multiple of it, rounded
            up, or all.
        target: a key of `rounding.TARGETS` ("cortex-m"), for its multiple.
        skip: name patterns (`fnmatch`) of layers whose channels all stay.

    Attributes:
        groups: list of `Group`s, those that are not frozen and not skipped.
        order: list of int arrays, the channels of each group.
    """

    def __init__(
        self,
        graph,
        scores,
        min_channels=1,
        channel_multiple=1,
        skip=(),
        target=None,
    ):
        self._rounding = rounding.Rounding(
            min_channels, channel_multiple, target
        )
        self.graph, self.scores = graph, np.asarray(scores, np.float64)
        left_out = skipped(graph, skip)
        self.groups = [
            g for g in graph.groups if not g.frozen and g not in left_out
        ]
        rated = [g.labels[self.scores[g.labels] < np.inf] for g in self.groups]
        self.order = [
            labels[np.argsort(self.scores[labels], kind="stable")]
            for labels in rated
        ]

    def keep(self, counts):
        """Keeps the given number of channels of each group."""
        keep = np.ones(self.graph.size, bool)
        for order, count in zip(self.order, counts, strict=True):
            n = len(order)
            keep[order[: n - self._rounding.up(count, n)]] = False
        return at_least_one(self.graph, keep, self.scores)

    def counts_by_ratio(self, ratio):
        ratios = checked_ratios(ratio)
        counts, used = [], set()
        for group, order in zip(self.groups, self.order, strict=True):
            fit = [p for p in ratios if matches(group, p)]
            used |= set(fit)
            share = ratios[fit[0]] if fit else 0.0
            # 64 * (1 - 0.1) is 57.599...: the floor is meant, but 0.7 * 30
            # is 20.999... and must be 21.
            counts.append(int(len(order) * (1 - share) + 1e-9))
        _no_match_is_an_error("ratio", set(ratios) - used, self.graph)
        return counts

    def ranked(self, values):
        """The removal order over all groups; `values` as in `order`."""
        where = [np.full(len(o), i) for i, o in enumerate(self.order)]
        where = np.concatenate(where) if where else np.zeros(0, int)
        values = np.concatenate(values) if values else np.zeros(0)
        labels = np.concatenate(self.order) if self.order else where
        return where[np.lexsort((labels, values))]


def at_least_one(graph, keep, scores=None):
    """Gives back one channel to every axis that has lost all of them.

    Args:
        graph: a `ChannelGraph`.
        keep: bool array, shape `(graph.size,)`.
        scores: float array of that shape; the channel with the highest score
            comes back, the first one if `scores` is `None`.

    Returns:
        A bool array of that shape.
    """
    keep = keep | graph.frozen
    for axis in graph.axes:
        if not keep[axis].any():
            best = 0 if scores is None else int(np.argmax(scores[axis]))
            keep[axis[best]] = True
    return keep


def matches(group, pattern):
    """Whether a name pattern fits a group's name or one of its writers."""
    names = (group.name, *group.writers)
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def skipped(graph, patterns):
    """The set of groups that a name pattern fits, or one of several."""
    patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    found, unused = set(), set(patterns)
    for group in graph.groups:
        fit = {p for p in patterns if matches(group, p)}
        unused -= fit
        if fit:
            found.add(group)
    _no_match_is_an_error("skip", unused, graph)
    return found


def _no_match_is_an_error(name, unused, graph):
    if unused:
        known = [g.name for g in graph.groups if not g.frozen]
        raise ValueError(
            f"Every pattern of `{name}` must fit the name of a layer whose "
            f"channels can be removed. Received: {sorted(unused)}, which fit "
            f"none of {known[:8]}{' ...' if len(known) > 8 else ''}."
        )
