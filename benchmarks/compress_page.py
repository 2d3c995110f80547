"""The page of `benchmarks/compress.py`: a table, verdicts, a plot."""

import dataclasses
import itertools
import json
import math

import numpy as np

from tfprune.core import tables
from tfprune.core.files import atomic
from tfprune.plots import style

_SIZE = 1.1  # A file of a control may be so much larger and still compare.
_LEVEL = 1e-9  # Means of as many right answers may differ by their rounding.


@dataclasses.dataclass(frozen=True)
class Figure:
    """What one way has in one cell, over the seeds that ran.

    Attributes:
        task, way: `str`.
        share: `float`, of the multiply-adds.
        seeds: tuple of `int`.
        test: `float`, mean of the metric on test data.
        spread: `float`, its standard deviation; 0 for one seed.
        file_bytes: `float`, mean size.
    """

    task: str
    share: float
    way: str
    seeds: tuple
    test: float
    spread: float
    file_bytes: float

    @property
    def key(self):
        return self.task, self.share, self.way

    def joined(self, other):
        """This figure with the seeds of another one of the same cell.

        Seeds that both have are those of `other`, which must have all of them.

        Raises:
            ValueError: `other` has some of the seeds, but not all.
        """
        if set(self.seeds) <= set(other.seeds):
            return other
        if set(self.seeds) & set(other.seeds):
            raise ValueError(
                "A cell that runs again must run for all of its seeds. "
                f"Received: seeds={other.seeds} of {self.key}, published with "
                f"{self.seeds}. Run the others as well."
            )
        parts, count = (self, other), len(self.seeds) + len(other.seeds)
        test = sum(len(p.seeds) * p.test for p in parts) / count
        squares = sum(
            (len(p.seeds) - 1) * p.spread**2
            + len(p.seeds) * (p.test - test) ** 2
            for p in parts
        )
        return dataclasses.replace(
            self,
            seeds=tuple(sorted(self.seeds + other.seeds)),
            test=test,
            spread=math.sqrt(squares / (count - 1)),
            file_bytes=sum(len(p.seeds) * p.file_bytes for p in parts) / count,
        )


def figures(rows, published=()):
    """A `Figure` for each task, share and way.

    Args:
        rows: list of `dict`, one for each seed.
        published: figures of earlier runs, which keep their place.

    Returns:
        A list of `Figure`, by tasks.
    """
    found = {figure.key: figure for figure in published}
    grouped = {}
    for row in rows:
        key = row["task"], row["share"], row["way"]
        grouped.setdefault(key, []).append(row)
    for key, members in grouped.items():
        tests = [row["test"] for row in members]
        figure = Figure(
            *key,
            tuple(sorted(row["seed"] for row in members)),
            float(np.mean(tests)),
            _spread(tests),
            float(np.mean([row["file_bytes"] for row in members])),
        )
        known = found.get(key)
        found[key] = known.joined(figure) if known else figure
    order = list(dict.fromkeys(task for task, _, _ in found))
    return sorted(found.values(), key=lambda f: (order.index(f.task), -f.share))


def cells(found):
    """`dict` from `(task, share)` to a `dict` from ways to figures."""
    grouped = {}
    for figure in found:
        grouped.setdefault((figure.task, figure.share), {})[figure.way] = figure
    return grouped


def read(path):
    """The figures of a `.json` file; none if there is no such file."""
    if not path.exists():
        return []
    entries = json.loads(path.read_text())
    return [Figure(**e | {"seeds": tuple(e["seeds"])}) for e in entries]


def write(found, path):
    """Writes figures to a `.json` file, one a line."""
    lines = ",\n".join(json.dumps(dataclasses.asdict(f)) for f in found)
    atomic.write({path: f"[\n{lines}\n]\n".encode()})


def table(found, ways):
    """A row for each task and share."""
    lines = [
        (task, f"{share:.0%}", *(_cell(members.get(way)) for way in ways))
        for (task, share), members in cells(found).items()
    ]
    return tables.Table(("task", "MACs", *ways), tuple(lines), left=2)


def _cell(figure):
    if figure is None:
        return "-"
    size = f"({figure.file_bytes:,.0f})"
    if len(figure.seeds) == 1:
        return f"{figure.test:.4f} {size}, seed {figure.seeds[0]}"
    return f"{figure.test:.4f} ± {figure.spread:.4f} {size}"


def _spread(tests):
    return float(np.std(tests, ddof=1)) if len(tests) > 1 else 0.0


def verdicts(found, own, controls):
    """Where `own` stands beside each control, cell by cell.

    Args:
        found: list of `Figure`.
        own: `str`, the way that is judged.
        controls: names of the other ways.

    Returns:
        `dict` from a control to a list of `(task, share, verdict)`: "ahead",
        which includes ties, "within the spread", "behind", or "larger" if the
        control's files are more than a tenth larger. Left out: cells in which
        the two ran for different seeds.
    """
    told = {way: [] for way in controls}
    for ((task, share), ways), way in itertools.product(
        cells(found).items(), controls
    ):
        mine, other = ways.get(own), ways.get(way)
        if mine and other and mine.seeds == other.seeds:
            told[way].append((task, share, _verdict(mine, other)))
    return told


def _verdict(mine, other):
    if other.file_bytes > _SIZE * mine.file_bytes:
        return "larger"
    behind = other.test - mine.test
    if behind <= _LEVEL:
        return "ahead"
    spread = max(mine.spread, other.spread)
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
    values = {
        (row["task"], row["share"], row["seed"], row["way"]): row["validation"]
        for row in rows
    }
    for (*cell, name), value in values.items():
        if name == way and (*cell, own) in values:
            found.setdefault(cell[0], []).append(value - values[*cell, own])
    return found


def _mean(values):
    if not values:
        return "-"
    error = _spread(values) / len(values) ** 0.5
    return f"{np.mean(values):+.4f} ± {error:.4f}"


def draw(found, ways, path):
    """Draws the metric against the file's size, a panel for each task.

    Args:
        found: list of `Figure`.
        ways: names of ways.
        path: `str`, a `.png` file.
    """
    path = style.writable(path)
    with style.used():
        style.write(_picture(found, ways), path)


def _picture(found, ways):
    tasks = list(dict.fromkeys(figure.task for figure in found))
    columns = min(3, len(tasks))
    lines = -(-len(tasks) // columns)
    size = (4.2 * columns, 3.4 * lines)
    picture, axes = style.panels(lines, columns, size)
    looks = style.series(len(ways))
    for ax in axes.flat[len(tasks) :]:
        ax.set_visible(False)
    for ax, task in zip(axes.flat, tasks, strict=False):
        for way, look in zip(ways, looks, strict=True):
            points = [f for f in found if (f.task, f.way) == (task, way)]
            ax.errorbar(
                [f.file_bytes for f in points],
                [f.test for f in points],
                [f.spread for f in points],
                capsize=3,
                label=way,
                **look,
            )
        style.logarithmic(ax, "x", 1000)
        ax.set_title(task)
        ax.set_xlabel("kB of the int8 file")
    axes[0, 0].set_ylabel("test metric")
    axes[0, 0].legend()
    return picture
