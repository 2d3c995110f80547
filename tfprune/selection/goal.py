"""What a call asks for: a budget to keep, or a ratio to remove."""

import dataclasses
import difflib
import numbers
import typing

from tfprune.core import typed
from tfprune.selection import budget as budget_lib
from tfprune.selection import candidates as candidates_lib

# `target` says what a limit on latency is for, and how counts are rounded.
_LIMITS = tuple(
    field.name
    for field in dataclasses.fields(budget_lib.Budget)
    if field.name != "target"
)


class Options(typing.TypedDict, total=False):
    """The keywords of `tfprune.prune`; see there."""

    macs: typed.Limit
    params: typed.Limit
    channels: typed.Limit
    peak_bytes: typed.Limit
    flash_bytes: typed.Limit
    ram_bytes: typed.Limit
    image_bytes: typed.Limit
    latency: typed.Limit
    latency_table: typing.Any
    depth: typed.Limit
    board: typing.Any
    ratio: typed.Ratios
    min_channels: int
    channel_multiple: int
    target: str | None
    core: str | None
    skip: typed.Names
    normalize: str | None


def of(budget, options):
    """Determines the goal of a call from its `budget` or its keywords.

    Args:
        budget: a `Budget`, a ratio or a `dict` of ratios as in `by_ratio`,
            or `None` if keywords give the goal.
        options: `dict` of keywords. `ratio` gives a ratio; `macs`, `params`
            and the other arguments of `Budget` give a budget.

    Returns:
        `(goal, options)`: a `Budget`, a ratio or a `dict` of ratios, and the
        remaining keywords.

    Raises:
        TypeError: If a keyword is unknown, if no argument, or more than one,
            says how much to remove, or `budget` is of another type.
        ValueError: If a limit or a ratio is out of range.
    """
    goal, rest = with_limits(budget, options)
    ratio = rest.pop("ratio", None)
    if ratio is not None:
        if goal is not None:
            raise _more_than_one(budget=goal, ratio=ratio)
        goal = ratio
    if goal is None:
        raise TypeError(
            "An argument must say how much to remove. Received: none. Limit "
            "what remains, as in macs=0.5, or give the fraction of each "
            "group's channels to remove, as in ratio=0.5."
        )
    number = isinstance(goal, numbers.Real) and not isinstance(goal, bool)
    if number or isinstance(goal, dict):
        candidates_lib.checked_ratios(goal)
    elif not isinstance(goal, budget_lib.Budget):
        raise TypeError(
            "A budget must be a tfprune.Budget, a ratio in [0, 1) or a dict "
            f"of ratios. Received: budget={goal!r}. Limit what remains, "
            "as in tfprune.Budget(macs=0.5)."
        )
    return goal, rest


def with_limits(budget, options, others=None):
    """Makes a budget from keywords, if any of them is a limit.

    Args:
        budget: anything, or `None`.
        options: `dict` of keywords.
        others: names of the keywords that are no limits; by default those of
            `tfprune.prune`.

    Returns:
        `(budget, options)`: a `Budget` if any keyword is a limit, else
        `budget` itself; and the remaining keywords.

    Raises:
        TypeError: If a keyword is unknown, or `budget` and keywords both
            give limits.
    """
    known = tuple(Options.__annotations__)
    _check_names(options, known if others is None else (*_LIMITS, *others))
    limits = {k: v for k, v in options.items() if k in _LIMITS}
    rest = {k: v for k, v in options.items() if k not in _LIMITS}
    if not limits:
        return budget, rest
    if budget is not None:
        raise _more_than_one(budget=budget, **limits)
    if "latency" in limits and "latency_table" not in limits:
        limits["target"] = rest.get("target")
        if "channel_multiple" in rest:
            rest.pop("target", None)  # It tells the core alone.
    return budget_lib.Budget(**limits), rest


def _check_names(options, known):
    for name, value in options.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else "Leave it out."
            raise TypeError(
                "A keyword must be an argument, or one of "
                f"{', '.join(known)}. Received: {name}={value!r}. {hint}"
            )


def _more_than_one(**given):
    received = ", ".join(f"{k}={v!r}" for k, v in given.items())
    return TypeError(
        "One argument must say how much to remove: a budget, its limits, or "
        f"a ratio. Received: {received}. Give only one of these."
    )
