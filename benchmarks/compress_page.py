"""The page of `benchmarks/compress.py`: a table, verdicts, a plot."""

import itertools

import numpy as np

from tfprune.core import tables
from tfprune.plots import style

_SIZE = 1.1  # A file of a control may be so much larger and still compare.
_LEVEL = 1e-9  # Means of as many right answers may differ by their rounding.


def groups(rows):
    """`dict` from `(task, share)` to a `dict` from ways to rows by seed."""
    found = {}
    for row in rows:
        ways = found.setdefault((row["task"], row["share"]), {})
        ways.setdefault(row["way"], {})[row["seed"]] = row
    return found


def table(rows, ways):
    """Means over the seeds, a row for each task and share."""
    lines = []
    for (task, share), found in groups(rows).items():
        cells = [_cell(list(found.get(way, {}).values())) for way in ways]
        lines.append((task, f"{share:.0%}", *cells))
    return tables.Table(("task", "MACs", *ways), tuple(lines), left=2)


def _cell(members):
    if not members:
        return "-"
    tests = [row["test"] for row in members]
    size = np.mean([row["file_bytes"] for row in members])
    return f"{np.mean(tests):.4f} ± {_spread(tests):.4f} ({size:,.0f})"


def _spread(tests):
    return float(np.std(tests, ddof=1)) if len(tests) > 1 else 0.0


def verdicts(rows, own, controls):
    """Where `own` stands beside each control, cell by cell.

    Args:
        rows: list of `dict`.
        own: `str`, the way that is judged.
        controls: names of the other ways.

    Returns:
        `dict` from a control to a list of `(task, share, verdict)`: "ahead",
        which includes ties, "within the spread", "behind", or "larger" if the
        control's files are more than a tenth larger.
    """
    found = {way: [] for way in controls}
    for ((task, share), ways), way in itertools.product(
        groups(rows).items(), controls
    ):
        if own in ways and way in ways:
            seeds = sorted(ways[own].keys() & ways[way].keys())
            pairs = [(ways[own][s], ways[way][s]) for s in seeds]
            if pairs:
                found[way].append((task, share, _verdict(pairs)))
    return found


def _verdict(pairs):
    mine, other = ([pair[side]["test"] for pair in pairs] for side in range(2))
    sizes = [
        np.mean([pair[side]["file_bytes"] for pair in pairs])
        for side in range(2)
    ]
    if sizes[1] > _SIZE * sizes[0]:
        return "larger"
    behind = np.mean(other) - np.mean(mine)
    if behind <= _LEVEL:
        return "ahead"
    spread = max(_spread(mine), _spread(other))
    return "within the spread" if behind <= spread else "behind"


def summary(found):
    """A line for each control, and one for all, as Markdown."""
    lines, beaten = [], {}
    for way, cells in found.items():
        told = [verdict for _, _, verdict in cells]
        for task, share, verdict in cells:
            known = beaten.get((task, share), True)
            beaten[task, share] = known and verdict in ("ahead", "larger")
        compared = [v for v in told if v != "larger"]
        text = f"{compared.count('ahead')} of {len(compared)} cells ahead"
        for verdict in ("within the spread", "behind"):
            names = [f"{t} {s:.0%}" for t, s, v in cells if v == verdict]
            if names:
                text += f"; {verdict}: {', '.join(names)}"
        if "larger" in told:
            text += f"; {told.count('larger')} cells with larger files"
        lines.append(f"- {way}: {text}.")
    if beaten:
        count = sum(beaten.values())
        lines.append(
            f"- In {count} of {len(beaten)} cells ({count / len(beaten):.0%}) "
            "no control that compares is ahead."
        )
    return "\n".join(lines)


def variants(rows, own, others):
    """What each variant of a recipe changes on validation data.

    Args:
        rows: list of `dict`.
        own: `str`, the way that the others are variants of.
        others: names of the variants.

    Returns:
        A `Table`: for each variant and task the mean difference of the metric
        from that of `own`, with its standard error over shares and seeds, and
        the number of cells in which it is better and worse.
    """
    told = {way: _differences(rows, own, way) for way in others}
    found = {task for cells in told.values() for task in cells}
    tasks = [
        t for t in dict.fromkeys(row["task"] for row in rows) if t in found
    ]
    lines = []
    for way, cells in told.items():
        if cells:
            whole = np.concatenate(list(cells.values()))
            better, worse = (whole > 0).sum(), (whole < 0).sum()
            means = [_mean(cells.get(task)) for task in tasks]
            lines.append((way, *means, f"{better}", f"{worse}"))
    return tables.Table(
        ("variant", *tasks, "better", "worse"), tuple(lines), left=1
    )


def _differences(rows, own, way):
    """`dict` from a task to the differences of a way from `own`, by cell."""
    found = {}
    for (task, _), ways in groups(rows).items():
        mine, other = ways.get(own, {}), ways.get(way, {})
        for seed in sorted(mine.keys() & other.keys()):
            gain = other[seed]["validation"] - mine[seed]["validation"]
            found.setdefault(task, []).append(gain)
    return found


def _mean(values):
    if not values:
        return "-"
    error = _spread(values) / len(values) ** 0.5
    return f"{np.mean(values):+.4f} ± {error:.4f}"


def draw(rows, ways, path):
    """Draws the metric against the file's size, a panel for each task.

    Args:
        rows: list of `dict`.
        ways: names of ways.
        path: `str`, a `.png` file.
    """
    path = style.writable(path)
    with style.used():
        style.write(_figure(rows, ways), path)


def _figure(rows, ways):
    found = groups(rows)
    tasks = list(dict.fromkeys(task for task, _ in found))
    columns = min(3, len(tasks))
    lines = -(-len(tasks) // columns)
    size = (4.2 * columns, 3.4 * lines)
    figure, axes = style.panels(lines, columns, size)
    looks = style.series(len(ways))
    for ax in axes.flat[len(tasks) :]:
        ax.set_visible(False)
    for ax, task in zip(axes.flat, tasks, strict=False):
        for way, look in zip(ways, looks, strict=True):
            points = [
                list(members[way].values())
                for (name, _), members in found.items()
                if name == task and way in members
            ]
            sizes = [np.mean([r["file_bytes"] for r in p]) for p in points]
            means = [np.mean([r["test"] for r in p]) for p in points]
            errors = [_spread([r["test"] for r in p]) for p in points]
            ax.errorbar(sizes, means, errors, capsize=3, label=way, **look)
        style.logarithmic(ax, "x", 1000)
        ax.set_title(task)
        ax.set_xlabel("kB of the int8 file")
    axes[0, 0].set_ylabel("test metric")
    axes[0, 0].legend()
    return figure
