"""JSON that every reader takes, which Python's own is not."""

import json
import math


def written(facts):
    """Plain data as JSON; numbers that are not finite become null.

    Args:
        facts: `dict` or list of plain data.

    Returns:
        `str`, indented, with a line's end.
    """
    return json.dumps(_finite(facts), indent=2, allow_nan=False) + "\n"


def _finite(facts):
    if isinstance(facts, dict):
        return {key: _finite(value) for key, value in facts.items()}
    if isinstance(facts, (list, tuple)):
        return [_finite(value) for value in facts]
    if isinstance(facts, float) and not math.isfinite(facts):
        return None
    return facts


def measured(facts):
    """Measurements that were read, with NaN where they are null.

    Args:
        facts: `dict` or list, of numbers and text.
    """
    if isinstance(facts, dict):
        return {key: measured(value) for key, value in facts.items()}
    if isinstance(facts, list):
        return [measured(value) for value in facts]
    return math.nan if facts is None else facts
