"""Tables of available choices."""

from tfprune.core import tables
from tfprune.scoring import criterion as criterion_lib


def criteria():
    """Lists the registered criteria, with paper, year, data and cost.

    Returns:
        A `tables.Table`; criteria without a paper have "-".

    Example:

    >>> print(criteria().to_text())
    """
    rows = []
    for name in criterion_lib.criteria.names():
        entry = criterion_lib.criteria.get(name)
        year = str(entry.year or "-")
        row = (name, entry.paper or "-", entry.data, entry.cost, year)
        rows.append(row)
    header = ("criterion", "paper", "data", "cost", "year")
    return tables.Table(header, tuple(rows), left=4)
