"""Tables of what tools and benchmarks have measured, which lie beside this."""

import functools
import importlib.resources
import json


@functools.cache
def table(name):
    """Reads a table once.

    Args:
        name: `str`, "code_parts" (bytes of code and the kernels that need them,
            from `tools/code_sizes.py`) or "core_coefficients" (instructions for
            each term of an op, from `benchmarks/core_table.py`).

    Returns:
        `dict`, by cores, which no caller may change.
    """
    file = importlib.resources.files(__package__) / f"{name}.json"
    return json.loads(file.read_text("utf-8"))
