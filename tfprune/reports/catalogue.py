"""What there is to choose from, as tables."""

from tfprune.core import tables
from tfprune.scoring import score


def criteria():
    """The registered criteria, with paper, year, data and cost.

    Returns:
        A `tables.Table`; criteria that were filed without a paper have "-".

    Example:

    >>> print(criteria().to_text())
    """
    rows = []
    for name in score.criteria.names():
        if name in score.abouts:
            about = score.abouts.get(name)
            row = about.paper, about.data, about.cost, str(about.year)
        else:
            row = ("-",) * 4
        rows.append((name, *row))
    header = ("criterion", "paper", "data", "cost", "year")
    return tables.Table(header, tuple(rows), left=4)
