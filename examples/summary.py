"""The final table, the same for all scripts."""

import pathlib
import re
import statistics
import sys

import common
from absl import flags

import tfprune
from tfprune.core import tables
from tfprune.core.files import atomic

FLAGS = flags.FLAGS
_LABELS = {
    "resnet": "ResNet",
    "vgg": "VGG",
    "minicifar": "MiniCIFAR",
    "cifar": "CIFAR-",
}
_NETWORK = re.compile(r"(?<!\S)(resnet|vgg)(\d+)(?:_[a-z]+_cifar10)?(?![\w.])")
_DATA = re.compile(r"(?<!\S)(minicifar|cifar)(\d*)(?![\w.])")


def measured(small, dense, bits=32, activation_bits=None):
    """Returns the shares of a dense network that remain, for every table."""
    costs = tfprune.cost(small), tfprune.cost(dense)
    counted = tfprune.reports.micronet(small, bits, activation_bits or bits)
    before = tfprune.reports.micronet(dense)
    return {
        "macs": costs[0].macs / costs[1].macs,
        "params": costs[0].params / costs[1].params,
        "nonzero": (counted.weights - counted.zeros) / before.weights,
        "bits": float(bits),
        "score_2019": counted.score_2019,
        "score_2025": counted.score_2025,
    }


def finish(rows, title, text, extra=()):
    """Writes `metrics.json`, and the table to the screen and to `--table`.

    Args:
        rows: list of `dict`s with `method`, `accuracy` and what `measured`
            gives; `budget` is `None` where nothing was asked for.
        title, text: `str`, what stands above the table.
        extra: pairs of a header and a function from the rows of one line to
            its text, further columns.
    """
    parts = [
        f"# {label(title)}",
        text,
        to_table(rows, extra).to_markdown().strip(),
    ]
    if FLAGS.note:
        parts.append(FLAGS.note)
    script = pathlib.Path(sys.argv[0]).name
    parts += [facts(rows[0]), f"Written by `examples/{script}`."]
    text = "\n\n".join(parts) + "\n"
    common.write_metrics(rows)
    print(text)
    if FLAGS.table:
        pathlib.Path(FLAGS.table).parent.mkdir(parents=True, exist_ok=True)
        atomic.write({FLAGS.table: text.encode()})


def to_table(rows, extra=()):
    """One line for each method and budget, over the seeds: `tables.Table`."""
    header = "method budget accuracy MACs params nonzero bits".split()
    header += ["score 2019", "score 2025", "seeds", "CPU s"]
    lines = []
    for (method, budget), group in groups(rows, "method", "budget").items():
        line = [method, tables.percent(budget), spread(group, "accuracy")]
        for key in ("macs", "params", "nonzero"):
            line.append(f"{mean(group, key):.1%}")
        line.append(f"{mean(group, 'bits'):.1f}")
        for key in ("score_2019", "score_2025"):
            line.append(f"{mean(group, key):.4f}")
        line += [str(len(group)), f"{mean(group, 'cpu_seconds'):.0f}"]
        lines.append((*line, *(cell(group) for _, cell in extra)))
    header += [name for name, _ in extra]
    return tables.Table(tuple(header), tuple(lines), left=2)


def groups(rows, *keys):
    """`dict` from the values of the keys to the rows that have them."""
    found = {}
    for row in rows:
        values = tuple(row[key] for key in keys)
        found.setdefault(values if len(keys) > 1 else values[0], []).append(row)
    return found


def facts(row):
    """The settings and versions of a row as a folded list, markdown."""
    found = row["settings"] | row["environment"]["versions"]
    found["machine"] = row["environment"]["machine"]
    lines = "\n".join(f"- {name}: {value}" for name, value in found.items())
    summary = "<summary>Settings and versions</summary>"
    return f'<details markdown="1">{summary}\n\n{lines}\n\n</details>'


def label(title):
    """A title with its networks and data sets as papers write them."""
    title = _NETWORK.sub(lambda m: f"{_LABELS[m[1]]}-{m[2]}", title)
    return _DATA.sub(lambda m: f"{_LABELS[m[1]]}{m[2]}", title)


def mean(rows, key):
    return statistics.mean(row[key] for row in rows)


def spread(rows, key):
    """Returns the mean of a share over the seeds, with its range."""
    values = [row[key] for row in rows]
    return f"{mean(rows, key):.2%} ({min(values):.2%} to {max(values):.2%})"
