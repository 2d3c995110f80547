"""Selects the channels to keep, from their scores.

Selection is exact: the requested number is the number removed, ties are removed
in index order, and no layer loses its last channel.
"""

from tfprune.costs import counting
from tfprune.graph import channel_graph
from tfprune.scoring import normalizers
from tfprune.scoring import rankings
from tfprune.selection import budget as budget_lib
from tfprune.selection import candidates as candidates_lib
from tfprune.selection import peak_cut

# Costs that depend on the sizes of the feature maps.
_NEEDS_SIZES = {"macs", "peak_bytes", "ram_bytes", "image_bytes", "latency"}
# Costs that the step at the memory peak decides.
_PEAKS = ("peak_bytes", "ram_bytes")


def by_budget(
    graph,
    scores,
    budget,
    ranking="global",
    normalize="mean",
    **options,
):
    """Keeps the highest-scoring channels that fit a budget.

    A limit on memory removes channels only at the memory peak; the other
    limits remove channels wherever they score lowest.

    Args:
        graph: a `ChannelGraph`.
        scores: float array, shape `(graph.size,)`; a channel that scores
            infinity stays.
        budget: a `Budget`.
        ranking: `"global"` compares scores across groups; `"group"` removes
            the same fraction of each group; `"raw"` is `"global"` with
            `normalize="none"`.
        normalize: how to normalize each group's scores before comparing them
            across groups: `"none"`, `"mean"`, `"max"`, `"lamp"` or `"size"`;
            see `tfprune.scoring.normalizers`.
        **options: `min_channels`, `channel_multiple`, `target`, `skip`: see
            `Candidates`; the target is that of the budget by default.

    Returns:
        Bool array, shape `(graph.size,)`.

    Raises:
        ValueError: If the budget cannot be met; the message gives the lowest
            cost that pruning can reach, and what occupies memory there.
    """
    budget_lib.check(budget)
    budget.check_channels()
    channel_graph.check(graph)
    if "channel_multiple" not in options:
        options.setdefault("target", budget.target)
    candidates = candidates_lib.Candidates(graph, scores, **options)
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
    # Binary search: costs only fall as more channels are removed.
    return keep_at(rankings.fewest(lambda n: fits(keep_at(n)), most))


def _out_of_reach(budget, meter, ceilings, keep):
    reached = {k: getattr(meter, k)(keep) for k in ceilings}
    allowed = {
        k: round(float(n), 3) if k == "latency" else int(n)
        for k, n in ceilings.items()
    }
    peaks = [
        f" At its peak, memory holds "
        f"{peak_cut.describe(meter.over_time(k), keep, meter.graph)}."
        for k in _PEAKS
        if k in ceilings and reached[k] > ceilings[k]
    ]
    return ValueError(
        f"The budget must be within reach. Received: {budget}, which "
        f"allows {allowed}; with every removable channel removed, the model "
        f"still has {reached}.{''.join(peaks)} Raise the limit, or skip "
        "fewer layers."
    )


def by_ratio(graph, scores, ratio, **options):
    """Keeps the same fraction of the channels of each group.

    Of `n` channels, `int(n * (1 - ratio))` stay, as in Li et al. 2016.

    Args:
        graph: a `ChannelGraph`.
        scores: float array, shape `(graph.size,)`.
        ratio: float in [0, 1), the fraction removed, or a `dict` from name
            patterns of groups to ratios; the first matching pattern counts,
            other groups stay whole.
        **options: see `Candidates`.

    Returns:
        Bool array, shape `(graph.size,)`.

    Raises:
        ValueError: If a ratio is out of range, or a pattern matches nothing.
    """
    channel_graph.check(graph)
    candidates = candidates_lib.Candidates(graph, scores, **options)
    return candidates.keep(candidates.counts_by_ratio(ratio))
