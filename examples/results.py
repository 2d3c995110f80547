"""Rows that are measured once, and the tables that are made of them.

A row lies in `--out` as a file of its own; what is found there is not measured
again, so a script that was stopped goes on where it was.
"""

import json
import pathlib
import statistics

import keras
from absl import app
from absl import flags

from tfprune import report
from tfprune.export import files

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "where the data set lies")
flags.DEFINE_list("seeds", ["0", "1", "2"], "everything once for each")
flags.DEFINE_string("table", "", "also write the table to this file")
flags.DEFINE_bool("smoke", False, "a minute, to see that it runs")
_LONG = ("settings", "environment", "search")


def rows(todo, start, run, settings):
    """Measures what has no row yet.

    Args:
        todo: pairs of a file name and a tuple, the arguments of a row.
        start: function from a seed to what the rows of the seed share; it is
            called if one of them is missing.
        run: function of that and of the arguments of a row that gives a
            `dict`. It may fail; rows before it are kept.
        settings: names of the flags that a row depends on.

    Yields:
        Each row, in the order of seeds and of `todo`, with its settings and
        what it ran on.

    Raises:
        app.UsageError: If a row that was found has other settings.
    """
    out = pathlib.Path(FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    settings = {name: FLAGS[name].value for name in settings}
    for seed in map(int, FLAGS.seeds):
        shared = None
        for name, arguments in todo:
            path = out / f"{name}-seed{seed}.json"
            if not path.exists():
                shared = shared or start(seed)
                keras.utils.set_random_seed(seed)
                row = {"seed": seed, **run(shared, *arguments)}
                row |= {"settings": settings}
                row |= {"environment": report.environment()}
                files.write({path: json.dumps(row, indent=2).encode()})
            row = json.loads(path.read_text())
            if row["settings"] != settings:
                raise app.UsageError(
                    f"{path} was made with {row['settings']}. Choose another "
                    "--out, or the same flags."
                )
            short = {k: v for k, v in row.items() if k not in _LONG}
            print(json.dumps(short), flush=True)
            yield row


def facts(row):
    """The settings and versions of a row as a list, markdown."""
    found = row["settings"] | row["environment"]["versions"]
    found["machine"] = row["environment"]["machine"]
    return "\n".join(f"- {name}: {value}" for name, value in found.items())


def mean(rows, key):
    return statistics.mean(row[key] for row in rows)


def spread(rows, key):
    """The mean of a share over the seeds, and the least and the most."""
    values = [row[key] for row in rows]
    return f"{mean(rows, key):.2%} ({min(values):.2%} to {max(values):.2%})"


def write(text):
    """Prints a table, and writes it to `--table` if there is one."""
    print(text)
    if FLAGS.table:
        pathlib.Path(FLAGS.table).parent.mkdir(parents=True, exist_ok=True)
        files.write({FLAGS.table: text.encode()})
